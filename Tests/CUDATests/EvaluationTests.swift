import Evaluation
import Generation
import Models
import Tensors
import Testing
import Tokenizers

extension CUDATests {
    @Suite("Tasks answered by generation")
    struct Evaluations {
        private let files: TinyModels
        private let tokenizer: Tokenizer

        init() throws {
            files = try TinyModels()
            tokenizer = try Tokenizer.load(directory: .init(fileURLWithPath: files.teacher))
        }

        @Test("a prompt of two segments goes on with the likeliest tokens", arguments: [nil, TinyModels.Kind.window])
        func continuation(_ kind: TinyModels.Kind?) throws {
            let cuda = try DecoderModel.load(kind.map { try files.converted($0) } ?? files.teacher).to(.cuda)
            let prompt = (0..<520).map { Int32(3 + $0 * 31 % 2000) }
            let state = try cuda.makeState()
            _ = try cuda.nextLogits(Array(prompt[..<512]), state: state)
            let first = try cuda.nextLogits([Array(prompt[512...])], state: state).indicesOfLargest()
                .array(Int32.self)
            let tokens = try first + Together(cuda, [state]).generate(5, after: first)[0]
            let stops = tokenizer.stops(cuda.configuration.decoder.eosTokens)
            let expected = try tokenizer.decode(Array(tokens.prefix { !stops.contains($0) }))
            #expect(
                try cuda.continuation(of: prompt, limit: 6, tokenizer: tokenizer, until: { _ in false }) {} == expected)
        }

        @Test("a needle of RULER by generation and by likelihood")
        func task() throws {
            let cuda = try DecoderModel.load(files.converted(.window)).to(.cuda)
            for method in EvaluationMethod.allCases {
                var options = EvaluationTask.Options()
                (options.lengths, options.limit, options.method) = ([500], 1, method)
                let group = try EvaluationTask.needleSingle1.groups(options, tokenizer: tokenizer)[0]
                let result = try group.evaluate(cuda, tokenizer: tokenizer)
                #expect(result.answers.count == (method == .generation ? 1 : 0))
                #expect(result.scores.first?.count == (method == .likelihood ? 10 : nil))
                #expect(result.metrics[0].value <= 1)
            }
        }
    }
}
