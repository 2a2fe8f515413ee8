// swift-tools-version: 6.1
import PackageDescription

// Data flows one way: each target knows only targets listed above it.
let package = Package(
    name: "moult",
    products: [
        .executable(name: "moult", targets: ["moult"]),
        .library(
            name: "Moult",
            targets: [
                "Support", "Tensors", "Communication", "Checkpoints", "Tokenizers", "Text", "Models", "Conversion",
                "Evaluation", "Records", "Reports", "Training", "Generation",
            ]),
        // By itself, as it alone needs Hummingbird.
        .library(name: "MoultServing", targets: ["Serving"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.20.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
    ],
    targets: [
        .target(name: "CSupport"),
        .target(name: "Support", dependencies: ["CSupport"]),
        .target(name: "CKernels", cSettings: [.headerSearchPath(".")]),
        .target(name: "CCUDA", exclude: ["kernels"]),
        .target(name: "CCompression"),
        .target(name: "CTerminal"),
        .target(name: "Tensors", dependencies: ["CKernels", "CCUDA"]),
        .target(name: "Communication", dependencies: ["Support", "Tensors"]),
        .target(name: "Checkpoints", dependencies: ["CSupport", "Support", "Tensors"]),
        .target(name: "Tokenizers", dependencies: ["CSupport", "Support", "Checkpoints"]),
        .target(name: "Text", dependencies: ["Support", "CCompression", "Checkpoints", "Tokenizers"]),
        .target(name: "Models", dependencies: ["Support", "Tensors", "Checkpoints"]),
        .target(name: "Conversion", dependencies: ["Support", "Tensors", "Checkpoints", "Models", "Tokenizers"]),
        .target(
            name: "Evaluation",
            dependencies: ["Support", "Tensors", "Checkpoints", "Tokenizers", "Text", "Models"]),
        .target(name: "Records", dependencies: ["Support", "Checkpoints", "Models"]),
        .target(name: "Reports", dependencies: ["Support", "Checkpoints", "Models", "Records"]),
        .target(
            name: "Training",
            dependencies: [
                "Support", "Tensors", "Communication", "Checkpoints", "Tokenizers", "Text", "Models", "Conversion",
                "Evaluation", "Records", "Yams",
            ]),
        .target(
            name: "Generation",
            dependencies: ["Support", "CKernels", "Tensors", "Checkpoints", "Tokenizers", "Models", "Evaluation"]),
        .target(
            name: "Serving",
            dependencies: [
                "Support", "Tensors", "Checkpoints", "Tokenizers", "Models", "Evaluation", "Generation",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            resources: [.embedInCode("Page")]),
        .executableTarget(
            name: "moult",
            dependencies: [
                "CSupport", "Support", "CTerminal", "Tensors", "Communication", "Checkpoints", "Tokenizers", "Text",
                "Models", "Conversion",
                "Evaluation", "Records", "Reports", "Training", "Generation", "Serving",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        // Examples/ once more, built with everything else for the tests: strangers to what is not public.
        .executableTarget(
            name: "Example-convert", dependencies: ["Checkpoints", "Conversion"], path: "Examples/Sources/convert",
            packageAccess: false),
        .executableTarget(
            name: "Example-generate", dependencies: ["Checkpoints", "Generation", "Models", "Tokenizers"],
            path: "Examples/Sources/generate", packageAccess: false),
        .executableTarget(
            name: "Example-states", dependencies: ["Checkpoints", "Generation", "Models", "Tokenizers"],
            path: "Examples/Sources/states", packageAccess: false),
        .target(
            name: "TestSupport", dependencies: ["Support", "Tensors", "Checkpoints", "Tokenizers", "Models"],
            path: "Tests/TestSupport"),
        .testTarget(name: "SupportTests", dependencies: ["Support", "TestSupport"]),
        .testTarget(
            name: "TensorsTests", dependencies: ["Support", "Tensors", "CKernels", "TestSupport"], exclude: ["Fixtures"]
        ),
        .testTarget(
            name: "CommunicationTests", dependencies: ["Support", "TestSupport", "Communication", "Tensors"]),
        .testTarget(
            name: "CheckpointsTests", dependencies: ["Support", "TestSupport", "Checkpoints", "Tensors"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "TokenizersTests", dependencies: ["Support", "TestSupport", "Tokenizers"], exclude: ["Fixtures"]),
        .testTarget(
            name: "TextTests", dependencies: ["TestSupport", "Support", "Text", "Checkpoints", "Tokenizers"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "ModelsTests",
            dependencies: ["TestSupport", "Support", "Models", "Tensors", "CKernels", "Checkpoints", "Tokenizers"],
            exclude: ["Fixtures"]
        ),
        .testTarget(
            name: "EvaluationTests",
            dependencies: [
                "TestSupport", "Support", "Evaluation", "Models", "Tensors", "Checkpoints", "Text", "Tokenizers",
            ]),
        .testTarget(
            name: "ConversionTests",
            dependencies: ["Support", "TestSupport", "Conversion", "Models", "Tensors", "Checkpoints"]),
        .testTarget(
            name: "GenerationTests",
            dependencies: [
                "TestSupport", "Support", "Generation", "Evaluation", "Models", "Tensors", "Checkpoints", "Tokenizers",
            ],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "ServingTests",
            dependencies: [
                "TestSupport", "Support", "Serving", "Generation", "Evaluation", "Models", "Tensors", "Checkpoints",
                "Tokenizers",
                .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(
            name: "RecordsTests", dependencies: ["Support", "TestSupport", "Records", "Models", "Checkpoints"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "ReportsTests", dependencies: ["TestSupport", "Support", "Reports", "Records", "Checkpoints"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: [
                "TestSupport", "Support", "Communication", "Training", "Reports", "Records", "Conversion", "Evaluation",
                "Generation",
                "Models",
                "Text",
                "Tensors", "Checkpoints", "Tokenizers",
            ],
            exclude: ["Fixtures"]),
        .target(
            name: "CUDAEmulator", dependencies: ["CCUDA"], path: "Tests/CUDAEmulator",
            cxxSettings: [
                .define("MOULT_EMULATED"), .headerSearchPath("."), .headerSearchPath("../../Sources/CCUDA/kernels"),
                .headerSearchPath("../../Sources/CCUDA/kernels/foundation"),
            ]),
        .testTarget(
            name: "CUDATests",
            dependencies: [
                "Support", "CUDAEmulator", "TestSupport", "Tensors", "Communication", "Checkpoints", "Tokenizers",
                "Text",
                "Models", "Conversion", "Evaluation", "Training", "Generation",
            ]),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "Support", "moult", "Example-convert", "Example-generate", "Example-states", "TestSupport",
                "Checkpoints",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
