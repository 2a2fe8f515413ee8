import Checkpoints
import Support

/// What conversion asks of a mixer.
public struct MixerRequest: Sendable {
    /// What the model is to be compatible with.
    public var profile: MixerProfile
    /// Tokens of the window beside the mixer; 0 for none.
    public var window: Int
    /// Those that a window may have.
    public static let windowRange = 0...1_048_576
    /// The mixer's options that are asked for, by name; the others are its own to choose.
    public var options: JSONObject
    /// The source's dimensions.
    public var decoder: DecoderConfiguration

    /// A request of these parts.
    public init(profile: MixerProfile, window: Int, options: JSONObject, decoder: DecoderConfiguration) {
        (self.profile, self.window, self.options, self.decoder) = (profile, window, options, decoder)
    }
}

/// A mixer's own options, for people and for programs.
public struct MixerDescription: Sendable {
    /// As config.json has them.
    public let options: JSONObject
    /// In words, for model cards; nil where there is nothing to say.
    public let summary: String?
    /// As a line of a list; nil where there is nothing to say.
    public let line: (label: String, text: String)?
}
