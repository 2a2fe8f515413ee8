import Support

/// Turns a ``TextForm`` into an automaton.
struct FormCompiler {
    var json = JSONGrammar()
    /// Schemas whose rules have no text yet.
    private var documents: [SchemaCompiler] = []

    static func automaton(_ form: TextForm) throws -> PushdownAutomaton {
        var compiler = FormCompiler()
        let (root, start) = try compiler.json.builder.rule()
        let last = try compiler.add(form, from: start)
        compiler.json.builder.end(last)
        for document in compiler.documents {
            var document = document
            try document.compile(&compiler.json)
        }
        return try compiler.json.builder.automaton(root: root)
    }

    private mutating func add(_ form: TextForm, from state: Int32) throws -> Int32 {
        switch form {
        case .schema(let schema, let name):
            let next = try json.builder.state()
            var document = SchemaCompiler(schema, name: name)
            json.builder.call(state, try document.root(&json), next)
            documents.append(document)
            return next
        case .object:
            return try json.builder.calling(json.anyObject(), from: state)
        case .text(let text): return try json.builder.text(text, from: state)
        case .sequence(let forms): return try forms.reduce(state) { try add($1, from: $0) }
        case .choice(let forms):
            let next = try json.builder.state()
            for form in forms { json.builder.link(try add(form, from: state), next) }
            return next
        case .repeated(let form, let separator, let most):
            let rule = try json.builder.rule()
            json.builder.end(try add(form, from: rule.start))
            let next = try json.builder.state()
            var state = state
            for count in 0..<max(1, most) {
                if count > 0 { state = try json.builder.text(separator, from: state) }
                state = try json.builder.calling(rule.rule, from: state)
                json.builder.link(state, next)
            }
            return next
        }
    }
}
