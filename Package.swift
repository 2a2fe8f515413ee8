// swift-tools-version: 6.0
import PackageDescription

// Data flows one way: each target knows only targets listed above it.
let package = Package(
    name: "moult",
    products: [
        .executable(name: "moult", targets: ["moult"]),
        .library(name: "Moult", targets: ["Models", "Conversion", "Evaluation", "Generation"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        .target(name: "CKernels"),
        .target(name: "Tensors", dependencies: ["CKernels"]),
        .target(name: "Checkpoints", dependencies: ["Tensors"]),
        .target(name: "Tokenizers"),
        .target(name: "Models", dependencies: ["Tensors", "Checkpoints"]),
        .target(name: "Conversion", dependencies: ["Models", "Tokenizers"]),
        .target(name: "Evaluation", dependencies: ["Models", "Tokenizers"]),
        .target(name: "Generation", dependencies: ["Models", "Tokenizers"]),
        .executableTarget(
            name: "moult",
            dependencies: [
                "Conversion", "Evaluation", "Generation",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"]),
        .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints"]),
        .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers"]),
        .testTarget(name: "ModelsTests", dependencies: ["Models", "Tokenizers"]),
        .testTarget(name: "ConversionTests", dependencies: ["Conversion"]),
        .testTarget(name: "GenerationTests", dependencies: ["Generation", "Evaluation"]),
        .testTarget(name: "CommandTests", dependencies: ["moult"]),
    ],
    swiftLanguageModes: [.v6]
)
