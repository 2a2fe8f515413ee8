import Support

extension DecoderConfiguration {
    /// Decodes a Hugging Face config.json, with the defaults that its family has in transformers.
    ///
    /// - Parameters:
    ///   - file: The name to give in errors.
    ///   - families: those whose `model_type`s are understood.
    /// - Throws: ``CheckpointError/configuration(file:key:expected:found:)`` or
    ///   ``CheckpointError/unsupported(file:what:found:supported:)``.
    public init(json: JSONValue, file: String, families: [any Family.Type] = Families.all) throws {
        guard let object = json.objectValue else {
            throw CheckpointError.malformed(
                file: file, part: "the configuration", expected: "a JSON object", found: json.summary)
        }
        let reader = ConfigurationReader(object: object, file: file)
        let type = try reader.string("model_type")
        guard let type, let family = Families.family(of: type, among: families) else {
            throw CheckpointError.unsupported(
                file: file, what: "model_type", found: type ?? "(none)",
                supported: families.flatMap { $0.modelTypes }.joined(separator: ", "))
        }
        self = try family.decoder(reader)
    }
}
