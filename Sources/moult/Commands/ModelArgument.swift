import ArgumentParser

/// The model that a command runs: its place, or `--model` as with other programs.
struct ModelArgument: ParsableArguments {
    @Argument(help: ArgumentHelp("A Hugging Face folder or a .gguf file.", valueName: "model")) var place: String?
    @Option(name: [.customLong("model"), .customShort("m")], help: "The same, as an option.") var option: String?

    func validate() throws {
        switch (place, option) {
        case (nil, nil):
            throw ValidationError("Expected a model, a Hugging Face folder or a .gguf file, found none.")
        case (let place?, let option?):
            throw ValidationError("--model: expected one model, found '\(place)' and '\(option)'.")
        default: break
        }
    }

    var path: String { option ?? place ?? "" }
}
