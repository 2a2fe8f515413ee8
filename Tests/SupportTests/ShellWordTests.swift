import Support
import Testing

@Suite("Words of a shell")
struct ShellWordTests {
    @Test(
        "are quoted where they must be",
        arguments: [
            ("models/SmolLM2-1.7B_v2.gguf", "models/SmolLM2-1.7B_v2.gguf"), ("", "''"), ("my model", "'my model'"),
            ("it's", "'it'\\''s'"), ("$HOME", "'$HOME'"), ("a\nb", "'a\nb'"), ("über", "'über'"), ("*", "'*'"),
        ])
    func quoted(text: String, word: String) { #expect(ShellWord.quoted(text) == word) }
}
