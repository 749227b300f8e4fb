"""How instances are: what requests found out, what checks found out, how young they are."""
