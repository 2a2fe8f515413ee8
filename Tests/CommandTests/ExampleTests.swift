import Foundation
import TestSupport
import Testing

/// The programs of Examples/, which see nothing of the libraries but what is public.
@Suite("Examples")
struct ExampleTests {
    private func run(_ name: String, _ arguments: String...) throws -> MoultProcess {
        let program = MoultProcess.executable.deletingLastPathComponent().appendingPathComponent("Example-\(name)")
        return try MoultProcess(executable: program.path, arguments: arguments)
    }

    @Test("convert, generate and states run one after the other")
    func all() throws {
        let tiny = try TinyModel()
        let student = "\(tiny.path)/student"
        let converted = try run("convert", tiny.teacher, student)
        #expect(converted.status == 0 && converted.output.contains("of the target"), "\(converted.error)")
        let generated = try run("generate", student, "The fox")
        #expect(generated.status == 0 && !generated.output.isEmpty, "\(generated.error)")
        let text = try tiny.write("short.txt", "The fox jumps over the dog.")
        let states = try run("states", student, text)
        #expect(states.status == 0 && states.output.contains(" tokens read, a state of "), "\(states.error)")
        #expect(states.output.contains("\n In short,") && states.output.contains("\n Then"), "\(states.output)")
    }
}
