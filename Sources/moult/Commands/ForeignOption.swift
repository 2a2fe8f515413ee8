import ArgumentParser

/// Options that other programs have for what Moult calls otherwise, or does not need: llama.cpp's, Ollama's and those of
/// Python's libraries. Those that mean exactly the same are further names of Moult's own.
struct ForeignOption {
    let names: [String]
    let hint: String
    /// The commands that are asked for it.
    var commands = ForeignOption.runners

    private static let runners: Set = ["generate", "chat"]
    private static let all: Set = ["generate", "chat", "perplexity", "evaluate", "bench"]

    private static let known = [
        ForeignOption(
            names: ["-c", "--ctx-size", "--ctx_size", "--n-ctx", "--num-ctx", "--max-model-len"],
            hint:
                "there is no context to set: memory is what the model needs, and `moult inspect MODEL` says how much.",
            commands: all),
        ForeignOption(
            names: ["--n-predict", "--predict", "--max-new-tokens", "--max_new_tokens", "--num-predict"],
            hint: "use --max-tokens (-n)."),
        ForeignOption(
            names: ["-i", "--interactive", "--interactive-first", "-cnv", "--conversation", "-ins"],
            hint: "a conversation is `moult chat MODEL`."),
        ForeignOption(
            names: ["-no-cnv", "--no-conversation"], hint: "`moult generate` has no conversation; leave it out."),
        ForeignOption(
            names: ["-ngl", "--gpu-layers", "--n-gpu-layers"], hint: "use --device cuda, which takes the whole model.",
            commands: all),
        ForeignOption(names: ["--file"], hint: "use --prompt-file (-f)."),
        ForeignOption(names: ["-sys", "--system-prompt"], hint: "use --system."),
        ForeignOption(names: ["-r", "--reverse-prompt", "--stop-sequence"], hint: "use --stop."),
        ForeignOption(names: ["--no-display-prompt"], hint: "use --no-echo.", commands: ["generate"]),
        ForeignOption(names: ["--ignore-eos"], hint: "forbid its end with --logit-bias 'TOKEN=-inf'."),
        ForeignOption(
            names: [
                "-b", "--batch-size", "-ub", "--ubatch-size", "-fa", "--flash-attn", "--mlock", "--no-mmap", "-nkvo",
            ],
            hint: "Moult needs no such setting; leave it out."),
        ForeignOption(
            names: ["-ctk", "-ctv", "--cache-type-k", "--cache-type-v"], hint: "use --cache-type, for both.",
            commands: all),
        ForeignOption(names: ["-tb", "--threads-batch"], hint: "use --threads, for prompts too.", commands: all),
        ForeignOption(
            names: ["-p", "--prompt"], hint: "type or pipe in what is asked; --system is told before.",
            commands: ["chat"]),
        ForeignOption(names: ["-f", "--file"], hint: "use --data.", commands: ["perplexity"]),
        ForeignOption(
            names: ["-hf", "-hfr", "--hf-repo"], hint: "give OWNER/NAME as the model, when it has been fetched.",
            commands: all),
        ForeignOption(
            names: [
                "--typical", "--mirostat", "--xtc-probability", "--dry-multiplier", "--presence-penalty",
                "--frequency-penalty",
            ],
            hint: "Moult samples with --temperature, --top-k, --top-p, --min-p and --repetition-penalty."),
    ]

    /// Answers an option of another program with Moult's.
    /// - Parameter arguments: those of the command line, without the program.
    static func check(_ arguments: [String]) throws {
        guard let command = arguments.first, all.contains(command) else { return }
        for argument in arguments.dropFirst().prefix(while: { $0 != "--" }) where argument.hasPrefix("-") {
            let name = argument.prefix { $0 != "=" }
            for option in known where option.commands.contains(command) && option.names.contains(String(name)) {
                throw ValidationError("\(name): \(option.hint)")
            }
        }
    }
}
