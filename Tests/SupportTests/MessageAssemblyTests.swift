import Support
import Testing

@Suite("Messages of several lines")
struct MessageAssemblyTests {
    /// The message after `lines`, and whether it was whole only then.
    private func message(_ lines: String...) -> String? {
        var assembly = MessageAssembly()
        for line in lines {
            #expect(assembly.message == nil)
            assembly.add(line)
        }
        return assembly.message
    }

    @Test("a line, and a line that goes on")
    func backslash() {
        #expect(message("one") == "one")
        #expect(message("one\\", "  two\\", "three") == "one\n  two\nthree")
        #expect(message("one\\") == nil)
    }

    @Test("a text between quotes")
    func quotes() {
        #expect(message("\"\"\"", "one", "", "two\\", "\"\"\"") == "one\n\ntwo\\")
        #expect(message("\"\"\"one", "two\"\"\"") == "one\ntwo")
        #expect(message("\"\"\"one\"\"\"") == "one")
        #expect(message("\"\"\"", "one") == nil)
    }

    @Test("what is pasted is one message as it is")
    func pasted() {
        #expect(message("\"\"\"A docstring.\n\"\"\"\nx = 1 \\") == "\"\"\"A docstring.\n\"\"\"\nx = 1 \\")
    }
}
