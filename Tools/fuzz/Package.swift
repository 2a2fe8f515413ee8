// swift-tools-version: 6.0
import PackageDescription

// A package of its own, so that an ordinary build never sees it. Tools/fuzz/run builds it, with the parsers' coverage
// counted. The parsers' `package` declarations are reached under the name that the package manager gives the repository: its
// folder's.
let name = Context.packageDirectory.split(separator: "/").dropLast(2).last.map { $0.lowercased() } ?? "moult"

let package = Package(
    name: "fuzz",
    dependencies: [.package(path: "../..")],
    targets: [
        .executableTarget(
            name: "fuzz",
            dependencies: [.product(name: "Moult", package: name)],
            // libFuzzer has the main function.
            swiftSettings: [.unsafeFlags(["-parse-as-library", "-package-name", name])])
    ],
    swiftLanguageModes: [.v6]
)
