import Foundation
import TestSupport
import Testing
import Text
import Tokenizers

/// Conversations as data: written by the chat template, as transformers' `apply_chat_template(messages, tokenize=False)` does.
@Suite struct ConversationTests {
    private struct Message: Decodable {
        let role: String
        let content: String?
    }

    /// The texts of conversations.json, without the one that is null and the one with a message that is.
    private static func expected() throws -> [String] {
        let talks = try JSONDecoder().decode(
            [[Message]?].self, from: Data(Fixtures.bytes("conversations.json")))
        return talks.compactMap { $0 }.filter { $0.allSatisfy { $0.content != nil } }.map { talk in
            talk.map { "<|im_start|>\($0.role)\n\($0.content ?? "")<|im_end|>\n" }.joined()
        }
        .filter { !$0.isEmpty }
    }

    private let chat: ConversationText?

    init() throws { chat = ConversationText(try Fixtures.chatTokenizer()) }

    @Test(arguments: ["v1", "v2", "item", "polars", "sharegpt"])
    func parquet(form: String) throws {
        let path = Fixtures.path("messages-\(form).parquet")
        let read = try ReadDocuments([path], .with { $0.onError = .skip }, chat: chat)
        let expected = try Self.expected()
        #expect(read.texts == expected)
        #expect(read.pieces.allSatisfy { $0.isRendered })
        let key = form == "sharegpt" ? "conversations" : "messages"
        #expect(
            read.statistics.problems == [
                "\(path): row group 1, row 8: expected text under \"\(key)\", found null; name another key or column, "
                    + "or skip what cannot be read",
                "\(path): row group 1, row 9: the conversation cannot be written as text: the chat template refuses these "
                    + "messages: no content",
            ])
        #expect(read.pieces.last?.place == .row(rowGroup: 3, row: 6))
    }

    @Test func lines() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "a.ndjson",
            #"""
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho\n"}], "id": 1}
            {"conversations": [{"from": "human", "value": "A"}, {"from": "gpt", "value": "B"}, {"from": "tool", "value": "C"}]}
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "a"}, {"name": "b"}]}
            {"text": "plain", "messages": [{"role": "user", "content": "never"}]}
            {"messages": []}

            """#)
        let read = try ReadDocuments([path], chat: chat)
        #expect(
            read.texts == [
                "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo\n<|im_end|>\n",
                "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n<|im_start|>tool\nC<|im_end|>\n",
                "<|im_start|>user\nx<|im_end|>\n2 tools", "plain",
            ])
        #expect(read.pieces.map(\.isRendered) == [true, true, true, false])
        #expect(read.statistics.emptyDocuments == 1)
    }

    @Test(arguments: [
        (#"{"messages": "no list"}"#, "plain text"), (#"{"messages": [1]}"#, "found an array of 1"),
        (#"{"other": 1}"#, "expected text under \"text\", found no such key"),
        (#"{"messages": [{"role": "user", "content": "\ud800"}]}"#, "half of a surrogate pair in the text"),
        (#"{"messages": [{"role": "user"}]}"#, "the conversation cannot be written as text"),
    ])
    func damage(line: String, problem: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("a.jsonl", line)
        guard problem != "plain text" else {
            #expect(try ReadDocuments([path], chat: chat).texts == ["no list"])
            return
        }
        let error = #expect(throws: DataError.self) { try ReadDocuments([path], chat: chat) }
        #expect(error?.description.contains("line 1") == true)
        #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }

    @Test func withoutTemplate() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("a.jsonl", #"{"messages": [{"role": "user", "content": "Hi"}]}"#)
        let error = #expect(throws: DataError.self) { try ReadDocuments([path], .with { $0.onError = .skip }) }
        #expect(
            error?.description == "\(path): line 1: a conversation needs a chat template, and the model's tokenizer "
                + "has none; put a chat_template.jinja into the model's folder, or name a key that holds text")
    }

    /// A template that cannot be used concerns conversations alone, and does not pass over them.
    @Test func malformedTemplate() throws {
        let folder = try TemporaryFolder()
        let chat = ConversationText(try Fixtures.chatTokenizer("{% for"))
        let plain = try folder.write("a.jsonl", #"{"text": "plain"}"#)
        #expect(try ReadDocuments([plain], chat: chat).texts == ["plain"])
        let talk = try folder.write("b.jsonl", #"{"messages": []}"#)
        #expect(throws: DataError.self) { try ReadDocuments([talk], chat: chat) }
    }

    /// The template alone writes the tokens around a conversation; plain text beside it gets its own.
    @Test func tokens() throws {
        let folder = try TemporaryFolder()
        let talk = #"{"messages": [{"role": "user", "content": "Hi you"}]}"#
        let lines = talk + "\n" + #"{"text": "plain"}"# + "\n"
        let path = try folder.write("a.jsonl", String(repeating: lines, count: 40))
        let tokenizer = try Fixtures.chatTokenizer()
        let data = try TokenDataset(
            sources: [DataSource(path: path)], validation: .share(0), tokenizer: tokenizer, length: 16, seed: 1,
            cache: folder.path + "/cache")
        let chat = try tokenizer.encode("<|im_start|>user\nHi you<|im_end|>\n", addSpecialTokens: false)
        let plain = try tokenizer.encode("plain", addSpecialTokens: false)
        #expect(data.reports[0].statistics.documents == 80)
        #expect(data.reports[0].statistics.tokens == 40 * (chat.count + plain.count + 2))
    }
}
