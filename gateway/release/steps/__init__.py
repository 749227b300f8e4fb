"""The steps of a workflow. Each looks at what is and does the next thing; it may be asked again at any time.

A step keeps nothing of its own but a task's `memory`. Killed between doing something and noting it, the release server does it
again after its restart: so whatever a step does is the same when it is done twice.
"""
