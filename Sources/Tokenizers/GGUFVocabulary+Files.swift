import Foundation
import Support

extension GGUFVocabulary {
    /// What a kind of vocabulary makes of text: the parts of tokenizer.json that are not its tokens.
    private struct Parts {
        var normalizer: JSONValue = nil
        var preTokenizer: JSONValue = nil
        var decoder: JSONValue
        var merges: [JSONValue]
        var ignoresMerges = false
        /// A character without a token is written by its bytes, `<0x00>` to `<0xFF>`.
        var byteFallback = false
        var addsBOS: Bool
    }

    /// tokenizer.json and tokenizer_config.json with this vocabulary. Tokens that are not used are left out of it.
    ///
    /// - Throws: ``TokenizerError/unsupported(file:component:found:supported:)``.
    public func huggingFaceFiles() throws -> TokenizerFiles {
        let table = TokenTable(tokens.indices.map { type(of: $0) == .unused ? nil : Array(tokens[$0].utf8) })
        let parts = try parts(table)
        let named = tokens.indices.filter { type(of: $0) != .unused && table.id(of: tokens[$0]).map(Int.init) == $0 }
        let addedTokens = named.compactMap { id -> JSONValue? in
            let type = type(of: id)
            // A byte-level vocabulary has no unknown text, and what is marked so there is a token like others.
            guard type == .control || type == .userDefined || type == .unknown && parts.byteFallback else { return nil }
            return [
                "id": .integer(id), "content": .string(tokens[id]), "single_word": false, "lstrip": false,
                "rstrip": .bool(takesSpaceBehind(id)), "normalized": false, "special": .bool(type != .userDefined),
            ]
        }
        let unknown = parts.byteFallback ? try token(unknownToken ?? named.first { type(of: $0) == .unknown }) : nil
        let root: JSONValue = [
            "version": "1.0", "truncation": nil, "padding": nil, "added_tokens": .array(addedTokens),
            "normalizer": parts.normalizer, "pre_tokenizer": parts.preTokenizer,
            "post_processor": try postProcessor(parts), "decoder": parts.decoder,
            "model": [
                "type": "BPE", "dropout": nil, "unk_token": unknown.map { .string($0.text) } ?? nil,
                "continuing_subword_prefix": nil, "end_of_word_suffix": nil, "fuse_unk": .bool(parts.byteFallback),
                "byte_fallback": .bool(parts.byteFallback), "ignore_merges": .bool(parts.ignoresMerges),
                "vocab": .object(JSONObject(named.map { (key: tokens[$0], value: .integer($0)) })),
                "merges": .array(parts.merges),
            ],
        ]
        return TokenizerFiles(
            tokenizer: Data(root.json.utf8), configuration: Data(try configuration(parts, unknown?.id).json.utf8))
    }

    /// Phi-3's roles and ends of turns take the white space behind them with them, of which a file says nothing.
    private func takesSpaceBehind(_ id: Int) -> Bool {
        architecture == "phi3" && model == "llama" && !["<unk>", "<s>", "<|endoftext|>"].contains(tokens[id])
    }

    private func parts(_ table: TokenTable) throws -> Parts {
        switch model {
        case "gpt2": try byteLevel(table)
        case "llama":
            Parts(
                normalizer: spaces(prefix: addsSpacePrefix ?? true), decoder: pieces(prefix: addsSpacePrefix ?? true),
                merges: mergesByScore(table), byteFallback: true, addsBOS: true)
        case "gemma4":
            Parts(
                normalizer: spaces(prefix: addsSpacePrefix ?? false), decoder: pieces(prefix: addsSpacePrefix ?? false),
                merges: listedMerges(table), byteFallback: true, addsBOS: true)
        default:
            throw TokenizerError.unsupported(
                file: file, component: "tokenizer.ggml.model", found: model,
                supported: "gpt2, llama, gemma4, or the model's tokenizer.json beside the file")
        }
    }

    /// Byte-level BPE, split into words as `tokenizer.ggml.pre` says.
    private func byteLevel(_ table: TokenTable) throws -> Parts {
        guard let words = GGUFPreTokenizer(named: preTokenizer) else {
            throw TokenizerError.unsupported(
                file: file, component: "tokenizer.ggml.pre", found: preTokenizer,
                supported: "\(GGUFPreTokenizer.names.count) names of llama.cpp, such as llama-bpe and qwen2, "
                    + "or the model's tokenizer.json beside the file")
        }
        func bytes(usesPattern: Bool, addsSpace: Bool) -> JSONValue {
            [
                "type": "ByteLevel", "add_prefix_space": .bool(addsSpace), "trim_offsets": true,
                "use_regex": .bool(usesPattern),
            ]
        }
        // GPT-2's pattern is ByteLevel's own.
        let isPlain = words.patterns.last == WordPattern.gpt2.regularExpression
        let splits = words.patterns.dropLast(isPlain ? 1 : 0).map { pattern -> JSONValue in
            if pattern == #"\p{N}"# { return ["type": "Digits", "individual_digits": true] }
            return [
                "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false,
            ]
        }
        let last = bytes(usesPattern: isPlain, addsSpace: addsSpacePrefix ?? false)
        return Parts(
            normalizer: words.composes ? ["type": "NFC"] : nil,
            preTokenizer: splits.isEmpty ? last : ["type": "Sequence", "pretokenizers": .array(splits + [last])],
            decoder: bytes(usesPattern: true, addsSpace: true), merges: listedMerges(table),
            ignoresMerges: words.ignoresMerges, addsBOS: words.addsBOS)
    }

    /// The merges of the file, without those of tokens that are not used.
    private func listedMerges(_ table: TokenTable) -> [JSONValue] {
        guard tokens.indices.contains(where: { type(of: $0) == .unused }) else { return merges.map { .string($0) } }
        return merges.filter { merge in
            let parts = merge.split(separator: " ", omittingEmptySubsequences: false)
            return parts.count != 2
                || [parts[0], parts[1], parts[0] + parts[1]].allSatisfy { table.id(of: String($0)) != nil }
        }.map { .string($0) }
    }

    private func postProcessor(_ parts: Parts) throws -> JSONValue {
        let before = adds(parts).bos ? try token(bos, "bos_token_id") : nil
        let after = adds(parts).eos ? try token(eos, "eos_token_id") : nil
        guard before != nil || after != nil else { return nil }
        func piece(_ text: String, type: Int) -> JSONValue {
            ["SpecialToken": ["id": .string(text), "type_id": .integer(type)]]
        }
        func single(_ name: String, type: Int) -> [JSONValue] {
            [
                before.map { piece($0.text, type: type) },
                ["Sequence": ["id": .string(name), "type_id": .integer(type)]],
                after.map { piece($0.text, type: type) },
            ].compactMap(\.self)
        }
        var special = JSONObject()
        for case let token? in [before, after] {
            special[token.text] = [
                "id": .string(token.text), "ids": [.integer(token.id)], "tokens": [.string(token.text)],
            ]
        }
        return [
            "type": "TemplateProcessing", "single": .array(single("A", type: 0)),
            "pair": .array(single("A", type: 0) + single("B", type: 1)), "special_tokens": .object(special),
        ]
    }

    private func configuration(_ parts: Parts, _ unknown: Int?) throws -> JSONValue {
        var root = JSONObject([("tokenizer_class", "PreTrainedTokenizerFast")])
        for (name, id) in [
            ("bos_token", bos), ("eos_token", eos), ("unk_token", unknownToken ?? unknown), ("pad_token", paddingToken),
        ] {
            if let token = try token(id, "\(name)_id") { root[name] = .string(token.text) }
        }
        root["clean_up_tokenization_spaces"] = false
        let (addsBOS, addsEOS) = adds(parts)
        if addsBOS || addsEOS {
            root["add_bos_token"] = .bool(addsBOS)
            root["add_eos_token"] = .bool(addsEOS)
        }
        if let chatTemplate { root["chat_template"] = .string(chatTemplate) }
        return .object(root)
    }

    /// Whether texts begin with BOS and end with EOS.
    private func adds(_ parts: Parts) -> (bos: Bool, eos: Bool) {
        ((addsBOS ?? parts.addsBOS) && bos != nil, (addsEOS ?? false) && eos != nil)
    }

    /// SentencePiece's models have these ids where the file names none, as llama.cpp has it.
    private var bos: Int? { bosToken ?? (model == "llama" && tokens.count > 2 ? 1 : nil) }
    private var eos: Int? { eosToken ?? (model == "llama" && tokens.count > 2 ? 2 : nil) }

    private func token(_ id: Int?, _ key: String = "unknown_token_id") throws -> (id: Int, text: String)? {
        guard let id else { return nil }
        guard tokens.indices.contains(id) else {
            throw TokenizerError.invalidValue(
                file: file, path: "tokenizer.ggml.\(key)",
                expected: "an id below the number of tokens, \(tokens.count)", found: "\(id)")
        }
        return (id, tokens[id])
    }
}
