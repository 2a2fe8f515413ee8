import Foundation
import Support

/// The tokens that are found in text as a whole, from all files that list some, as transformers gathers them.
struct AddedTokenList {
    /// Each with an id of its own.
    private(set) var tokens: [AddedToken] = []
    /// The texts of the tokens that have a role, such as `bos_token`.
    private(set) var names: [String: String] = [:]
    /// The tokens of the model, by id.
    private let model: TokenTable
    private var ids: Set<Int32> = []

    /// The `added_tokens` of tokenizer.json.
    init(_ root: JSONNode, of texts: [[UInt8]?]) throws {
        model = TokenTable(texts)
        for node in try root.optional("added_tokens")?.elements() ?? [] {
            let token = try AddedToken(node)
            if let present = model[Int(token.id)], !present.elementsEqual(token.content.utf8) {
                throw TokenizerError.invalidValue(
                    file: root.file, path: "added_tokens", expected: "an id of its own for \(token.content)",
                    found: "\(token.id), which is \(String(decoding: present, as: UTF8.self))")
            }
            tokens.append(token)
            ids.insert(token.id)
        }
        try checkSize(root.file)
    }

    /// Adds the tokens that stand in other files: in `added_tokens_decoder` of tokenizer_config.json, which also says
    /// anew how tokens are found; where that is missing, in special_tokens_map.json and added_tokens.json. Tokens with a
    /// role are found as a whole wherever their ids come from; one that no file gives an id is left out.
    mutating func add(_ configuration: JSONNode?, _ files: TokenizerFiles) throws {
        var roles = try configuration.map(Self.roles) ?? []
        if let listed = configuration?.optional("added_tokens_decoder") {
            for (id, node) in try Self.listed(listed) { add(try AddedToken(node, id: id), replaces: true) }
        } else {
            if let root = try Self.root(files.specialTokens, "special_tokens_map.json") {
                let mapped = try Self.roles(root)
                roles = roles.filter { role in !mapped.contains { $0.name == role.name } } + mapped
            }
            if let root = try Self.root(files.addedTokens, "added_tokens.json") {
                for (text, value) in try root.members().pairs {
                    let id = try JSONNode(file: root.file, path: text, value: value).tokenID()
                    let content = JSONNode(file: root.file, path: "the token", value: .string(text))
                    let isSpecial = roles.contains { Self.text($0.token).text == text }
                    add(try AddedToken(content, id: Int32(id), isSpecial: isSpecial), replaces: false)
                }
            }
        }
        for role in roles {
            let node = Self.text(role.token)
            guard let text = node.text else { continue }
            if names[role.name] == nil { names[role.name] = text }
            guard !tokens.contains(where: { $0.content.hasSameBytes(as: text) }), let id = model.id(of: text) else {
                continue
            }
            var token = try AddedToken(
                JSONNode(file: role.token.file, path: role.token.path, value: .string(text)), id: id, isSpecial: true)
            if role.token.value.members != nil {
                token.stripsLeft = try role.token.flag("lstrip", default: false)
                token.stripsRight = try role.token.flag("rstrip", default: false)
                token.isSingleWord = try role.token.flag("single_word", default: false)
                token.isNormalized = try role.token.flag("normalized", default: false)
            }
            add(token, replaces: false)
        }
        try checkSize("tokenizer_config.json")
    }

    /// A token where its content is new, with the id that the model has for it; else `replaces` says whether what is
    /// known of it is replaced. A listed id that belongs to another token is no id.
    private mutating func add(_ token: AddedToken, replaces: Bool) {
        var token = token
        if let index = tokens.firstIndex(where: { $0.content.hasSameBytes(as: token.content) }) {
            guard replaces else { return }
            token.id = tokens[index].id
            tokens[index] = token
            return
        }
        if let id = model.id(of: token.content) { token.id = id }
        let isOwn = model[Int(token.id)].map { $0.elementsEqual(token.content.utf8) } ?? true
        guard isOwn, !ids.contains(token.id), !token.content.isEmpty else { return }
        tokens.append(token)
        ids.insert(token.id)
    }

    private func checkSize(_ file: String) throws {
        let bytes = tokens.reduce(0) { $0 + $1.content.utf8.count }
        guard bytes <= AddedToken.maximumTotal else {
            throw TokenizerError.invalidValue(
                file: file, path: "added_tokens", expected: "at most \(AddedToken.maximumTotal) bytes of text",
                found: "\(bytes)")
        }
    }

    private static func root(_ data: Data?, _ file: String) throws -> JSONNode? {
        try data.map { JSONNode(file: file, path: "", value: try JSONValue(parsing: $0, of: file)) }
    }

    /// `added_tokens_decoder`: objects under their ids, in the order of these.
    private static func listed(_ node: JSONNode) throws -> [(id: Int, token: JSONNode)] {
        try node.members().pairs.map { key, value in
            guard let id = Int(key), 0...TokenTable.maximumID ~= id else {
                throw node.expected("token ids from 0 to \(TokenTable.maximumID)", found: key)
            }
            return (id, JSONNode(file: node.file, path: "\(node.path).\(key)", value: value))
        }.sorted { $0.id < $1.id }
    }

    /// The text of a token that is written as itself or as an object with its `content`.
    private static func text(_ node: JSONNode) -> JSONValue { node.value["content"] ?? node.value }

    /// The tokens with a role: `…_token`, and the lists of further ones.
    private static func roles(_ root: JSONNode) throws -> [(name: String, token: JSONNode)] {
        guard let members = root.value.members else { throw root.expected("an object") }
        return members.pairs.flatMap { key, value -> [(name: String, token: JSONNode)] in
            func node(_ value: JSONValue) -> JSONNode { JSONNode(file: root.file, path: key, value: value) }
            if key.hasSuffix("_token") { return [(key, node(value))] }
            guard key == "additional_special_tokens" || key == "extra_special_tokens" else { return [] }
            let listed = value.elements ?? value.members?.pairs.map(\.value) ?? []
            return listed.map { (key, node($0)) }
        }
    }
}
