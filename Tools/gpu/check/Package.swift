// swift-tools-version: 6.0
import PackageDescription

// A package of its own, so that an ordinary build never sees it. The repository's package is known by the name of its folder.
let name = Context.packageDirectory.split(separator: "/").dropLast(3).last.map { $0.lowercased() } ?? "moult"

let package = Package(
    name: "check",
    dependencies: [.package(path: "../../..")],
    targets: [.executableTarget(name: "check", dependencies: [.product(name: "Moult", package: name)])],
    swiftLanguageModes: [.v6]
)
