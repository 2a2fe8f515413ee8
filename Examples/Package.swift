// swift-tools-version: 6.0
import PackageDescription

// The package manager names a package in a folder by that folder.
let moult = Context.packageDirectory.split(separator: "/").dropLast().last.map { $0.lowercased() } ?? "moult"
let libraries: [Target.Dependency] = [.product(name: "Moult", package: moult)]

let package = Package(
    name: "moult-examples",
    dependencies: [.package(path: "..")],
    targets: ["convert", "generate", "states"].map { .executableTarget(name: $0, dependencies: libraries) },
    swiftLanguageModes: [.v6]
)
