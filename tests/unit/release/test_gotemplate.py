"""Go templates: what they make, and where they say that something is wrong."""

from __future__ import annotations

import pytest

from gateway.release.gotemplate import Mishap, compile_template, likely_form, render

DATA = {
    "AppStack": {"envName": "gray", "image": {"backend": "shop/a:2"}},
    "Values": {"on": True, "many": [1, 2], "n": 3},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{{ if eq .AppStack.envName "gray" }}tag: gray{{ end }}', "tag: gray"),
        ('{{ if ne .AppStack.envName "gray" }}a{{ else if .Values.on }}b{{ else }}c{{ end }}', "b"),
        ("a\n  {{- if .Values.on }}\nb\n  {{- end }}\nc", "a\nb\nc"),
        ("{{ range $i, $n := .Values.many }}{{ if $i }},{{ end }}{{ $n }}{{ end }}", "1,2"),
        ('{{ with .AppStack.image.backend }}{{ . | printf "%q" }}{{ end }}', '"shop/a:2"'),
        ("{{/* nothing to see */}}x", "x"),
    ],
)
def test_a_template_makes_what_go_makes_of_it(source: str, expected: str) -> None:
    assert render(compile_template(source), DATA) == expected


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("a\n  {{ .Values.nope }}", (2, 6), "there is no 'nope'"),
        ("{{ if .Values.on }}", (1, 20), "unexpected EOF"),
        ("{{ end }}", (1, 1), "unexpected end"),
        ('{{ .Values.x | default "a" }}', (1, 16), "function 'default' not defined"),
        ('{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', (1, 33), "in a circle"),
        ('{{ ifeq.AppStack.envName "gray" }}x{{ end }}', (1, 8), '{{ if eq .AppStack.envName "gray" }}'),
        ("é {{ if eq .AppStack.envName “gray” }}x{{ end }}", (1, 31), '{{ if eq .AppStack.envName "gray" }}'),
        ("\n\n{{elseif.Values.on}}", (3, 9), "{{else if .Values.on}}"),
    ],
)
def test_a_problem_has_its_place_and_the_likely_form(source: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(Mishap) as caught:
        render(compile_template(source), DATA)
    assert (caught.value.line, caught.value.column) == place
    assert message in caught.value.message


def test_a_template_that_makes_too_much_ends() -> None:
    source = "{{ range $i := .Values.n }}{{ range $j := $.Values.n }}x{{ end }}{{ end }}"
    with pytest.raises(Mishap, match="it makes too much"):
        render(compile_template(source), {"Values": {"n": 100_000}})


@pytest.mark.parametrize(
    "action", ["{{ end }}", "{{ if .Values.on }}", "{{.AppStack.envName}}", '{{ printf "%q" .x }}']
)
def test_what_is_fine_is_its_own_likely_form(action: str) -> None:
    assert likely_form(action) == action
