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
            dependencies: [
                "CustomerRules",
                .product(name: "Afterlogin", package: "afterlogin"),
                // Starts the rule hosts, for JavaScript rules beside this one; it is built beside the executable.
                .product(name: "afterlogin-confine", package: "afterlogin"),
            ]
        ),
        .target(name: "CustomerRules", dependencies: [.product(name: "Afterlogin", package: "afterlogin")]),
        .testTarget(
            name: "CustomerRulesTests",
            dependencies: ["CustomerRules", .product(name: "AfterloginTesting", package: "afterlogin")]
        ),
    ]
)

for target in package.targets {
    // What a rule awaits runs where the rule runs.
    target.swiftSettings = [
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"), .enableUpcomingFeature("MemberImportVisibility"),
    ]
}
