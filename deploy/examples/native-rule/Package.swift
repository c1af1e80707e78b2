// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "native-rule",
    dependencies: [
        // In your own repository: .package(url: "…/afterlogin.git", from: "1.0.0")
        .package(name: "afterlogin", path: "../../..")
    ],
    targets: [
        .executableTarget(
            name: "my-afterlogin",
            dependencies: [.product(name: "Afterlogin", package: "afterlogin")],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]
        )
    ]
)
