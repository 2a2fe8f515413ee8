// swift-tools-version: 6.0
import PackageDescription

// Data flows one way: each target knows only targets listed above it.
let package = Package(
    name: "moult",
    products: [
        .executable(name: "moult", targets: ["moult"]),
        .library(name: "Moult", targets: ["Models", "Conversion", "Evaluation", "Training", "Generation"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        .target(name: "CKernels"),
        .target(name: "CCUDA", exclude: ["kernels"]),
        .target(name: "CCompression"),
        .target(name: "Tensors", dependencies: ["CKernels", "CCUDA"]),
        .target(name: "Checkpoints", dependencies: ["Tensors"]),
        .target(name: "Tokenizers", dependencies: ["Checkpoints"]),
        .target(name: "Models", dependencies: ["Tensors", "Checkpoints"]),
        .target(name: "Conversion", dependencies: ["Tensors", "Checkpoints", "Models", "Tokenizers"]),
        .target(name: "Evaluation", dependencies: ["Tensors", "Checkpoints", "Models", "Tokenizers"]),
        .target(
            name: "Training",
            dependencies: [
                "CCompression", "Tensors", "Checkpoints", "Tokenizers", "Models", "Evaluation", "Yams",
            ]),
        .target(name: "Generation", dependencies: ["CKernels", "Tensors", "Checkpoints", "Tokenizers", "Models"]),
        .executableTarget(
            name: "moult",
            dependencies: [
                "Tensors", "Checkpoints", "Tokenizers", "Models", "Conversion", "Evaluation", "Training",
                "Generation",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors", "CKernels"], exclude: ["Fixtures"]),
        .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "Tensors"], exclude: ["Fixtures"]),
        .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers"], exclude: ["Fixtures"]),
        .testTarget(
            name: "ModelsTests", dependencies: ["Models", "Tensors", "CKernels", "Checkpoints", "Tokenizers"],
            exclude: ["Fixtures"]
        ),
        .testTarget(
            name: "EvaluationTests", dependencies: ["Evaluation", "Models", "Tensors", "Checkpoints", "Tokenizers"]),
        .testTarget(name: "ConversionTests", dependencies: ["Conversion", "Models", "Tensors", "Checkpoints"]),
        .testTarget(
            name: "GenerationTests",
            dependencies: ["Generation", "Evaluation", "Models", "Tensors", "Checkpoints", "Tokenizers"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: ["Training", "Conversion", "Evaluation", "Models", "Tensors", "Checkpoints", "Tokenizers"],
            exclude: ["Fixtures"]),
        .target(
            name: "CUDAEmulator", dependencies: ["CCUDA"], path: "Tests/CUDAEmulator",
            cxxSettings: [.define("MOULT_EMULATED"), .headerSearchPath(".")]),
        .testTarget(
            name: "CUDATests",
            dependencies: [
                "CUDAEmulator", "Tensors", "Checkpoints", "Models", "Conversion", "Training",
            ]),
        .testTarget(name: "CommandTests", dependencies: ["moult", "Checkpoints"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
