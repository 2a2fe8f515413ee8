import Checkpoints
import Foundation
import Models
import Tensors
import TestSupport
import Testing
import Tokenizers
import Training

@Suite("Questions of recall")
struct HeldRecallTests {
    @Test("the codes that are asked for are those of the list, and forks are where codes part")
    func texts() throws {
        let tokenizer = try Fixtures.tokenizer()
        let recall = try HeldRecall(tokenizer, length: 1024, questions: 25)
        let kind = try #require(recall.lists.last)
        #expect(kind.length == 1024 && kind.lists.map(\.questions) == [10, 10, 5])
        for list in kind.lists {
            let text = try tokenizer.decode(list.tokens)
            // Before the first line stands what begins a text.
            let lines = text.split(separator: "\n").compactMap { line in
                line.range(of: "The code of ").map { line[$0.lowerBound...] }
            }
            let (listed, asked) = (lines.dropLast(list.questions), lines.suffix(list.questions))
            #expect(Set(listed).count >= 10 && Set(listed).count == listed.count)
            #expect(Set(asked).count == list.questions && Set(asked).isSubset(of: listed), "\(text)")
            #expect(Set(list.forks.map(\.question)) == Set(0..<list.questions))
            for fork in list.forks {
                #expect(list.tokens[fork.place] == fork.tokens[0] && Set(fork.tokens).count == fork.tokens.count)
                #expect((2...10).contains(fork.tokens.count))
            }
        }
        // The same in every run, and the first of more.
        #expect(
            try HeldRecall(tokenizer, length: 1024, questions: 10).lists.last?.lists[0].tokens == kind.lists[0].tokens)
    }

    @Test("answers are those of the logits, token by token")
    func answers() throws {
        let tokenizer = try Fixtures.tokenizer()
        let recall = try HeldRecall(tokenizer, length: 512, questions: 30)
        let model = try DecoderModel.load(ModelFiles.open(Fixtures.path("teacher")))
        let found = try recall.measure(model)
        #expect(found.map(\.length) == [256, 512] && found.map(\.questions) == [30, 30])
        var right = 0
        for list in recall.lists[1].lists {
            let logits = try model.logits([list.tokens]).array(Float.self),
                vocabulary = logits.count / list.tokens.count
            for question in 0..<list.questions {
                let forks = list.forks.filter { $0.question == question }
                right +=
                    forks.allSatisfy { fork in
                        let row = fork.tokens.map { logits[(fork.place - 1) * vocabulary + Int($0)] }
                        return row.dropFirst().allSatisfy { $0 < row[0] }
                    } ? 1 : 0
            }
        }
        #expect(found[1].accuracy == Double(right) / 30)
        // A random model guesses.
        #expect(found[1].accuracy < 0.4)
    }

    @Test("rows in which ten names do not fit have none, and nothing is asked where nothing is to be")
    func none() throws {
        let tokenizer = try Fixtures.tokenizer()
        #expect(try HeldRecall(tokenizer, length: 16, questions: 20).isEmpty)
        #expect(try HeldRecall(tokenizer, length: 512, questions: 0).isEmpty)
        #expect(try HeldRecall(tokenizer, length: 1 << 20, questions: 1).kinds.map(\.length).last == 2048)
    }
}
