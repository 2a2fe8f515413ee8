/// What `tokenizer.ggml.pre` stands for: how llama.cpp's byte-level vocabularies of that name split text into words.
struct GGUFPreTokenizer {
    /// Regular expressions that split text one after the other, as tokenizer.json's `Split` with `Isolated` does.
    var patterns: [String]
    /// A word that is a token as a whole is taken as it is.
    var ignoresMerges = false
    /// Whether texts begin with the BOS token where the file does not say (`tokenizer.ggml.add_bos_token`).
    var addsBOS = false
    /// Whether text is brought into Unicode's form C first.
    var composes = false

    /// The pre-tokeniser of this name; nil when the name is unknown.
    init?(named name: String) {
        guard let known = Self.known.first(where: { $0.names.contains(name) })?.value else { return nil }
        self = known
    }

    init(_ patterns: [String], ignoresMerges: Bool = false, addsBOS: Bool = false, composes: Bool = false) {
        self.patterns = patterns
        self.ignoresMerges = ignoresMerges
        self.addsBOS = addsBOS
        self.composes = composes
    }

    /// The names that are known, in their order.
    static var names: [String] { known.flatMap(\.names) }

    private static let gpt2 = WordPattern.gpt2.regularExpression
    private static let cl100k = WordPattern.tiktoken(maximumDigits: 3).regularExpression
    private static let cl100kDigits = WordPattern.tiktoken(maximumDigits: 1).regularExpression

    /// The words of the pattern of o200k: capitals begin a word.
    private static func cased(_ contraction: String, _ digits: String) -> String {
        #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"# + contraction
            + #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"# + contraction + "|"
            + digits + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
    private static let contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    private static let o200k = cased(contraction + "?", #"\p{N}{1,3}"#)
    private static let poro = #" ?[^(\s|[.,!?…。，、।۔،])]+"#
    /// DeepSeek V3: digits by threes, Chinese and Japanese, words with what stands before them.
    private static let deepSeekV3 = [
        #"\p{N}{1,3}"#, "[一-龥\u{3040}-ゟ゠-ヿ]+",
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
            + #"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
    ]

    private static let known: [(names: [String], value: GGUFPreTokenizer)] = [
        (
            [
                "gpt-2", "default", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de",
                "jina-v2-code", "roberta-bpe", "gigachat", "a.x-4.0", "mellum", "modern-bert", "jais", "trillion",
                "granite-docling", "exaone4",
            ], .init([gpt2])
        ),
        // GPT-NeoX's tokenizer and those made from it.
        (["olmo", "mpt"], .init([gpt2], composes: true)),
        (
            [
                "smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2",
            ], .init([#"\p{N}"#, gpt2])
        ),
        (["command-r"], .init([#"\p{N}"#, gpt2], composes: true)),
        (
            [
                "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
                "jina-v5-nano",
            ], .init([cl100k], ignoresMerges: true, addsBOS: true)
        ),
        (["dbrx", "smaug-bpe", "chatglm-bpe"], .init([cl100k])),
        (["glm4", "glm5"], .init([cl100k], ignoresMerges: true)),
        (
            ["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"], .init([cl100kDigits], composes: true)
        ),
        (["stablelm2", "hunyuan", "solar-open", "grok-2"], .init([cl100kDigits])),
        (
            ["qwen35"],
            .init(
                [
                    contraction + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"#
                        + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#
                ], composes: true)
        ),
        (
            ["ufakzeka"],
            .init([
                #"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
            ])
        ),
        (
            ["tekken"],
            .init([cased("", #"\p{N}"#)], ignoresMerges: true, addsBOS: true)
        ),
        (["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], .init([o200k])),
        (["tiny_aya", "cohere2moe"], .init([#"\d{1,3}(?=(?:\d{3})*\b)"#, o200k])),
        (["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], .init(deepSeekV3)),
        (
            ["deepseek-coder"],
            .init([#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, "[一-龥\u{800}-一가-\u{D7FF}]+", #"\p{N}"#])
        ),
        (
            ["deepseek-llm"],
            .init([
                #"[\r\n]"#, deepSeekLetters, "\\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+", #"\s+$"#,
                "[一-龥\u{800}-一가-\u{D7FF}]+", #"\p{N}+"#,
            ])
        ),
        (
            ["falcon"], .init([#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"])
        ),
        (["poro-chat", "bloom", "gpt3-finnish"], .init([poro])),
        (["viking"], .init([poro, #"\p{N}"#])),
        (
            ["chameleon"],
            .init(
                [
                    "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", #"\p{N}"#,
                    #"[\p{P}!-/:-@\[-`{-~]"#, gpt2,
                ], addsBOS: true)
        ),
        (
            ["kimi-k2"],
            .init([
                #"[\p{Han}]+|"#
                    + cased(contraction + "?", #"\p{N}{1,3}"#)
                    .replacing(#"\p{M}]"#, with: #"\p{M}&&[^\p{Han}]]"#).replacing(#"[\r\n/]*"#, with: #"[\r\n]*"#)
            ])
        ),
        (
            ["granite-embed-multi-97m"],
            .init([o200k], ignoresMerges: true)
        ),
        (
            ["youtu"],
            .init(
                [
                    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u{3040}-ゟ゠-ヿ]+",
                    cased(contraction + "?", #"\p{N}"#),
                ], ignoresMerges: true)
        ),
        (
            ["spark2_5"],
            .init([
                deepSeekV3[0], deepSeekV3[1],
                deepSeekV3[2].replacing(#"[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|"#, with: #"[\p{P}\p{S}]+|[\r\n]|"#),
                #"\p{N}"#,
            ])
        ),
        (
            ["afmoe"],
            .init([
                #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#,
                "[一-鿿㐀-䶿豈-\u{FAFF}\u{3040}-ゟ゠-ヿ･-ﾟ⼀-\u{2FDF}\u{E00}-\u{E7F}\u{E80}-\u{EFF}\u{1780}-\u{17FF}"
                    + "\u{1000}-\u{109F}\u{AA60}-\u{AA7F}\u{A9E0}-\u{A9FF}가-\u{D7AF}ᄀ-ᇿ]+",
                deepSeekV3[2],
            ])
        ),
        (["superbpe"], .init([#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#])),
        (
            ["bailingmoe", "bailingmoe2", "llada-moe"],
            .init([
                #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"#
                    + #"|\s+(?!\S)|\s+"#
            ])
        ),
        (
            ["seed-coder"],
            .init([
                contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#
            ])
        ),
        (["laguna"], .init([#"[^\n]+|[\n]+"#, cl100kDigits])),
        (
            ["minicpm5"],
            .init(
                [
                    #"\p{N}{1,3}"#,
                    contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"#
                        + #"|\s+(?!\S)|\s+"#,
                ], ignoresMerges: true)
        ),
        (
            ["exaone-moe"],
            .init([
                contraction + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?"#
                    + #"|\s*[\r\n]|\s+(?!\S)|\s+"#
            ])
        ),
        (
            ["jais-2"],
            .init([
                contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"#
                    + [512, 256, 128, 64, 32, 16, 8, 4].map { #"|\s{\#($0)}(?!\S)"# }.joined()
                    + #"|\s{1,2}(?!\S)|\s{1}"#
            ])
        ),
    ]

    /// Letters of alphabets with capitals, as DeepSeek's first tokenizer lists them.
    private static let deepSeekLetters =
        "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽ\u{37F}\u{386}\u{388}-\u{38A}\u{38C}\u{38E}-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿ"
        + "ᴀ-ᴫᵫ-ᵷᵹ-ᶚ\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}\u{1F50}-\u{1F57}\u{1F59}\u{1F5B}"
        + "\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}\u{1FB6}-\u{1FBC}\u{1FBE}\u{1FC2}-\u{1FC4}\u{1FC6}-\u{1FCC}"
        + "\u{1FD0}-\u{1FD3}\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}\u{1FF2}-\u{1FF4}\u{1FF6}-\u{1FFC}"
        + "ℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗ"
        + "Ａ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
}
