import Testing
import Tokenizers

/// Small templates, and what jinja2 3.1.6 writes for them with the settings of transformers 5.24.
@Suite("Templates are written as Jinja and Python write them") struct TemplateLanguageTests {
    @Test(arguments: [
        (
            "{% macro m(a, b='x') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
            "12(3,){'k': 4}"
        ),
        ("{% macro m() %}<{{ caller('x') }}>{% endmacro %}{% call(a) m() %}{{ a }}y{% endcall %}", "<xy>"),
        (
            "{% macro m(a) %}<{{ a }}>{% endmacro %}{% set all = [m] %}{% for f in all %}{{ f(*[1]) }}{% endfor %}{{ {'k': m}.k(2) }}",
            "<1><2>"
        ),
        ("{% set ns = namespace() %}{% macro m() %}y{% endmacro %}{% set ns.x = m %}{{ ns.x() }}", "y"),
        ("{% filter upper %}ab{% endfilter %}{% set x | trim %} y {% endset %}{{ x }}", "ABy"),
        ("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "3"),
        ("{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}", "123"),
        (
            "{% for i in 'aab' %}{{ loop.changed(i) }}{{ loop.cycle(1, 2) }}{{ loop.nextitem }},{% endfor %}",
            "True1a,False2b,True1,"
        ),
        ("{% set a, (b, c) = 1, (2, 3) %}{{ [a, b, c] }}", "[1, 2, 3]"),
        ("{% generation %}a{% endgeneration %}{% raw %}{{ b }}{% endraw %}", "a{{ b }}"),
        ("{% raw %}\nb\n  {% endraw %}\nc", "\nb\nc"), ("{% raw -%} \n  {% endraw %}x", "x"),
        ("{{ 1 < 2 < 3 }}{{ 2 ** 3 ** 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}", "True64-423.5"),
        ("{{ 1e16 }} {{ 9.1e15 }} {{ 1.5e-7 }} {{ 100.0 }}", "1e+16 9100000000000000.0 1.5e-07 100.0"),
        ("{{ ['it\\'s', 'a\"b', none, 1.0, true, ('x',)] }}", "[\"it's\", 'a\"b', None, 1.0, True, ('x',)]"),
        ("{{ {'b': 1, 'a': [1, 2]} | tojson(sort_keys=true, separators=(',', ':')) }}", "{\"a\":[1,2],\"b\":1}"),
        ("{{ 'é<' | tojson }}{{ 'é' | tojson(ensure_ascii=true) }}", "\"é<\"\"\\u00e9\""),
        (
            "{{ '%s is %05.1f' % ('x', 2) }}|{{ '{:>4}{0!r}'.format('a') if false else '{:>4}'.format('a') }}",
            "x is 002.0|   a"
        ),
        (
            "{{ 'a,b,c'.rsplit(',', 1) }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'a-b'.partition('-') }}",
            "['a,b', 'c']True('a', '-', 'b')"
        ),
        (
            "{{ [1, 2, 3] | map('string') | join }}{{ (messages | select) is true }}{{ [3, 1] | sort }}",
            "123False[1, 3]"
        ),
        ("{% if [] | selectattr('x') %}an iterator is true{% endif %}", "an iterator is true"),
        ("{{ tools is none }}{{ documents is none }}{{ x is defined }}{{ x }}{{ x.y if x else 1 }}", "TrueTrueFalse1"),
        ("{{ {'items': 1}['items'] }}{{ {'a': 1}.items() }}{{ {1: 2}[1.0] }}", "1dict_items([('a', 1)])2"),
        ("{{ ('<' | safe) + '<' }}{{ '<' | e }}", "<&lt;&lt;"),
        ("{{ 'hello wORLD' | title }}{{ 'ab' | center(6) }}|{{ 'a\\nb' | indent(2) }}", "Hello World  ab  |a\n  b"),
        ("{{ 'a\\d' }}{{ 'x'[::-1] }}{{ 'abc'[-2:] }}{{ [1, 2, 3][::2] }}", "a\\dxbc[1, 3]"),
        ("a\r\nb\rc", "a\nb\nc"),
    ])
    func writes(source: String, text: String) throws {
        #expect(try ChatTemplate(source).render(messages: []) == text)
    }
}
