import Checkpoints
import Support
import Tensors

extension MemoryMixer {
    public static var title: String { Memory.title }

    public static var optionNames: [String] { Memory.Options.names }

    public static func window(_ configuration: ModelConfiguration) throws -> Int? {
        let window = try MemoryMixerOptions<Memory>(configuration).window
        return window > 0 ? window : nil
    }

    public static func description(_ configuration: ModelConfiguration) throws -> MixerDescription? {
        let memory = try MemoryMixerOptions<Memory>(configuration).memory
        return MixerDescription(
            options: memory.json, summary: memory.summary,
            line: memory.line ?? memory.summary.map { (label: name, text: $0) })
    }

    public static func options(_ request: MixerRequest) throws -> JSONObject? {
        guard request.profile == .softmaxPreserving || flashLinearAttentionType != nil else {
            throw ModelError.configuration(
                key: "profile", expected: "'\(MixerProfile.softmaxPreserving.rawValue)', the only one of '\(name)'",
                found: "'\(request.profile.rawValue)'")
        }
        if request.profile == .fla, request.window != 0 {
            throw ModelError.configuration(
                key: "window", expected: "0 with profile fla, which has no local window", found: "\(request.window)")
        }
        var json: JSONObject = ["profile": .string(request.profile.rawValue)]
        for (key, value) in Memory.Options(window: request.window).json.pairs { json[key] = value }
        for key in optionNames { if let value = request.options[key] { json[key] = value } }
        json["window"] = .integer(request.window)
        _ = try own(json, request.decoder)
        return json
    }

    /// The options of the members of "moult.<name>", whatever the profile.
    private static func own(_ json: JSONObject, _ decoder: DecoderConfiguration) throws -> MemoryMixerOptions<Memory> {
        var json = json
        json["profile"] = nil
        return try MemoryMixerOptions(
            MixerOptionsReader(json: json, prefix: "", decoder: decoder, profile: .softmaxPreserving))
    }

    // MARK: flash-linear-attention

    public static var flashLinearAttentionType: String? { Memory.flashLinearAttentionType }

    public static func flashLinearAttentionFile(
        _ configuration: ModelConfiguration, dtype: DType
    ) throws -> JSONObject {
        let json = configuration.mixerOptions[name]?.objectValue ?? JSONObject()
        return Memory.flashLinearAttentionFile(
            configuration, try own(json, configuration.decoder).memory, dtype: dtype)
    }
}
