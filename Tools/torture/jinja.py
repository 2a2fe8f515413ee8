"""Chat templates by chance, from the grammar that the program reads: what is valid, large and slow."""

FILTERS = ["trim", "length", "count", "upper", "lower", "default('x')", "tojson", "tojson(indent=2)", "join", "join(', ')",
           "join(big)", "first", "last", "replace('a', 'bb')", "replace('aaa', '')", "replace(big, 'x')", "items", "list",
           "string", "int", "reverse", "safe", "capitalize", "selectattr('role')", "rejectattr('role', 'eq', 'user')",
           "map(attribute='content')", "selectattr('content', 'in', big)"]
METHODS = ["strip()", "lstrip('a')", "rstrip(big)", "startswith('a')", "endswith(big)", "split()", "split('a')",
           "split(big)", "upper()", "lower()", "replace('a', 'b')", "items()", "keys()", "values()", "get('role')"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "odd", "even",
         "divisibleby(3)", "eq(big)", "ne(1)", "in(big)", "equalto 'a'"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
ATOMS = ["messages", "messages[0]", "messages[-1]", "message", "big", "list", "bos_token", "undefined_name", "0", "1", "-1",
         "2.5", "9223372036854775807", "-9223372036854775808", "1e308", "'a'", "'aaaa'", "true", "none", "[]", "{}",
         "[big, big]", "{'a': big}", "range(10)", "range(100000)", "range(0, -1)", "range(9223372036854775807)",
         "namespace(a=big)", "loop.index", "loop.last", "messages[0]['content']", "big[::-1]", "big[1:-1]", "list[::2]",
         "big[0]", "big[-1]", "messages[9223372036854775807]", "list[-9223372036854775808:]", "big[::0]"]
# How the large values are made: 'big' is a text, 'list' a list of texts.
GROWTH = [
    "{% set ns = namespace(t='a') %}{% for i in range(COUNT) %}{% set ns.t = ns.t + ns.t %}{% endfor %}"
    "{% set big = ns.t %}{% set list = big | list %}",
    "{% set ns = namespace(t='ab é') %}{% for i in range(COUNT) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}"
    "{% set big = ns.t %}{% set list = big.split('b') %}",
    "{% set big = messages[0]['content'] %}{% set list = big.split(' ') %}",
    "{% set big = messages[0].content | replace(' ', 'aaaaaaaa') %}{% set list = [big, big, big] %}",
    "{% set big = 'x' * 1000000 %}{% set list = [big] * 1000 %}",
    "{% set big = 'short' %}{% set list = range(100000) | list %}",
]


class Generator:
    def __init__(self, chance):
        self.chance = chance

    def template(self):
        chance = self.chance
        growth = chance.choice(GROWTH).replace("COUNT", str(chance.choice([3, 10, 16, 18, 20, 22, 30, 64])))
        return growth + "".join(self.statement(0) for _ in range(chance.choice([1, 2, 4])))

    def statement(self, depth):
        chance = self.chance
        kind = chance.randrange(8) if depth < 4 else 0
        if kind < 2:
            return "{{ " + self.expression(0) + " }}"
        inner = "".join(self.statement(depth + 1) for _ in range(chance.choice([1, 1, 2])))
        if kind < 5:
            over = chance.choice(["range(1000)", "range(100000)", "list", "big", "messages", self.expression(1)])
            filtered = f" if {self.expression(2)}" if chance.random() < 0.2 else ""
            return f"{{% for {chance.choice(['x', 'message', 'a, b'])} in {over}{filtered} %}}{inner}{{% endfor %}}"
        if kind == 5:
            return f"{{% if {self.expression(1)} %}}{inner}{{% else %}}-{{% endif %}}"
        if kind == 6:
            return f"{{% set {chance.choice(['x', 'big', 'list'])} = {self.expression(0)} %}}{inner}"
        return f"{{% macro m(x) %}}{inner}{{% endmacro %}}{{{{ m(big) }}}}" if chance.random() < 0.1 else inner

    def expression(self, depth):
        chance = self.chance
        kind = chance.randrange(10) if depth < 5 else 0
        if kind < 2:
            return chance.choice(ATOMS)
        one = self.expression(depth + 1)
        if kind < 5:
            return f"({one} | {chance.choice(FILTERS)})"
        if kind == 5:
            return f"{one}.{chance.choice(METHODS)}" if one[0] not in "-0123456789" else f"({one})"
        if kind == 6:
            return f"({one} is {chance.choice(TESTS)})"
        if kind == 7:
            return f"({one} if {self.expression(depth + 1)} else {self.expression(depth + 1)})"
        return f"({one} {chance.choice(OPERATORS)} {self.expression(depth + 1)})"
