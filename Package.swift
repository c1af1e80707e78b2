// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "afterlogin",
    platforms: [.macOS("26.0")],
    products: [
        .executable(name: "afterlogin", targets: ["CLI"]),
        .executable(name: "afterlogin-confine", targets: ["Confine"]),
        .library(name: "Afterlogin", targets: ["Afterlogin", "Commands"]),
    ],
    targets: [
        // The C libraries, all from Debian.
        .systemLibrary(name: "CRDKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CMicroHTTPD", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
        .systemLibrary(name: "CLinux"),

        // What wraps C or the operating system.
        .target(name: "JSON"),
        .target(name: "YAML", dependencies: ["CYAML"]),
        .target(name: "Cryptography", dependencies: ["COpenSSL"]),
        .target(name: "System", dependencies: ["CLinux"]),
        .target(name: "Kafka", dependencies: ["CRDKafka", "System"]),
        .target(name: "HTTPClient", dependencies: ["CCurl", "System"]),
        .target(name: "HTTPServer", dependencies: ["CMicroHTTPD", "System"]),
        .executableTarget(name: "Confine", linkerSettings: [.linkedLibrary("seccomp")]),
        .target(name: "RuleHost", dependencies: ["CLinux", "JSON", "System"], resources: [.copy("JavaScript")]),

        // What is said to operators, without secrets.
        .target(name: "Observability", dependencies: ["JSON", "System"]),

        // What decides about logins that wait; pure.
        .target(name: "Waiting"),

        // The product.
        .target(
            name: "Afterlogin",
            dependencies: [
                "JSON", "YAML", "Cryptography", "Kafka", "HTTPClient", "RuleHost", "System", "Waiting", "Observability",
            ]
        ),
        .target(name: "Admin", dependencies: ["Afterlogin", "Observability", "HTTPServer", "JSON", "System"]),
        .target(
            name: "Sandbox",
            dependencies: ["Observability", "Afterlogin", "HTTPServer", "Cryptography", "Kafka", "JSON", "System"]
        ),
        .target(
            name: "Commands",
            dependencies: [
                "Afterlogin", "Admin", "Sandbox", "JSON", "YAML", "Kafka", "HTTPClient", "HTTPServer", "RuleHost",
                "Cryptography", "CLinux", "System", "Observability",
            ],
            resources: [.copy("Demo/rules")]
        ),
        .executableTarget(name: "CLI", dependencies: ["Commands"]),

        // The tests.
        .target(name: "TestSupport", dependencies: ["System", "Observability"], path: "Tests/TestSupport"),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport"]),
        .testTarget(name: "WaitingTests", dependencies: ["Waiting", "TestSupport"]),
        .testTarget(name: "SystemTests", dependencies: ["System"]),
        .testTarget(name: "ObservabilityTests", dependencies: ["Observability", "JSON", "System", "TestSupport"]),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"]),
        .testTarget(name: "CryptographyTests", dependencies: ["Cryptography"]),
        .testTarget(name: "KafkaTests", dependencies: ["Kafka", "TestSupport", "System"]),
        .testTarget(
            name: "HTTPClientTests",
            dependencies: ["HTTPClient", "HTTPServer", "TestSupport", "System"],
            exclude: ["Fixtures"]
        ),
        .testTarget(name: "HTTPServerTests", dependencies: ["HTTPServer", "HTTPClient", "Cryptography", "System"]),
        .testTarget(name: "RuleHostTests", dependencies: ["RuleHost", "Confine", "JSON", "TestSupport", "System"]),
        .testTarget(
            name: "AfterloginTests",
            dependencies: [
                "Observability", "Afterlogin", "JSON", "YAML", "Cryptography", "Kafka", "HTTPClient", "RuleHost",
                "Confine",
                "TestSupport", "System",
            ]
        ),
        .testTarget(
            name: "AdminTests",
            dependencies: ["Observability", "Admin", "Afterlogin", "HTTPServer", "HTTPClient", "JSON"]
        ),
        .testTarget(
            name: "SandboxTests",
            dependencies: [
                "Observability", "Sandbox", "Afterlogin", "HTTPServer", "HTTPClient", "Cryptography", "Kafka", "JSON",
                "System",
            ]
        ),
        .testTarget(
            name: "CommandsTests",
            dependencies: ["Observability", "Commands", "Afterlogin", "JSON", "RuleHost", "System", "YAML"]
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "CLI", "CRDKafka", "Confine", "Kafka", "HTTPClient", "HTTPServer", "JSON", "Sandbox", "YAML", "System",
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

/// The targets that wrap C or the operating system, and so may name unsafe types.
let wrappers: Set = ["JSON", "YAML", "Cryptography", "System", "Kafka", "HTTPClient", "HTTPServer", "RuleHost"]

for target in package.targets where ![.system].contains(target.type) {
    var settings: [SwiftSetting] = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ]
    if wrappers.contains(target.name) { settings.append(.strictMemorySafety()) }
    target.swiftSettings = settings
}
