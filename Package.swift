// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "afterlogin",
    platforms: [.macOS("26.0")],
    products: [
        .executable(name: "afterlogin", targets: ["CLI"]),
        .executable(name: "afterlogin-confine", targets: ["Confine"]),
        .library(name: "AfterloginTesting", targets: ["AfterloginTesting"]),
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
        .target(name: "HTTPClient", dependencies: ["CCurl", "HTTPMessages", "System"]),
        .target(name: "HTTPServer", dependencies: ["CMicroHTTPD", "HTTPMessages", "System"]),
        .executableTarget(name: "Confine", linkerSettings: [.linkedLibrary("seccomp")]),
        .target(name: "RuleHost", dependencies: ["CLinux", "JSON", "System"], resources: [.copy("JavaScript")]),

        // Requests and responses, whoever sends them.
        .target(name: "HTTPMessages"),

        // What is said to operators, without secrets.
        .target(name: "Observability", dependencies: ["JSON", "System"]),

        // What decides about logins that wait; pure.
        .target(name: "Waiting"),

        // The way out for rules: what may leave, with which token, and who waits for what is away.
        .target(
            name: "Egress",
            dependencies: ["JSON", "Cryptography", "System", "HTTPClient", "HTTPMessages", "Observability", "Waiting"]
        ),

        // What runs for a login, in order, and the folder that it comes from.
        .target(
            name: "Rules",
            dependencies: ["JSON", "System", "RuleHost", "HTTPMessages", "Observability", "Waiting", "Egress"]
        ),

        // The path of a login: from its record to its result, in the order of its user, and what is committed.
        .target(
            name: "Delivery",
            dependencies: ["JSON", "Cryptography", "System", "Kafka", "Observability", "Waiting", "Egress", "Rules"]
        ),

        // The product.
        .target(
            name: "Afterlogin",
            dependencies: [
                "JSON", "YAML", "System", "Kafka", "RuleHost", "HTTPMessages", "Observability", "Waiting", "Egress",
                "Rules", "Delivery",
            ]
        ),
        .target(name: "AfterloginTesting", dependencies: ["Afterlogin", "HTTPMessages", "JSON", "Rules", "System"]),
        .target(
            name: "Admin",
            dependencies: ["System", "HTTPServer", "HTTPMessages", "Observability", "Delivery"]
        ),
        .target(
            name: "Sandbox",
            dependencies: ["JSON", "Cryptography", "System", "Kafka", "HTTPServer", "HTTPMessages"]
        ),
        .target(
            name: "Commands",
            dependencies: [
                "CLinux", "JSON", "System", "Kafka", "HTTPClient", "HTTPServer", "RuleHost", "HTTPMessages",
                "Observability", "Egress", "Rules", "Delivery", "Afterlogin", "Admin", "Sandbox",
            ],
            resources: [.copy("Demo/rules")]
        ),
        .executableTarget(name: "CLI", dependencies: ["Commands"]),

        // The tests.
        .target(name: "TestSupport", dependencies: ["System", "Observability"], path: "Tests/TestSupport"),
        .testTarget(name: "HTTPMessagesTests", dependencies: ["HTTPMessages"]),
        .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport"]),
        .testTarget(name: "WaitingTests", dependencies: ["Waiting", "TestSupport"]),
        .testTarget(name: "SystemTests", dependencies: ["System"]),
        .testTarget(name: "ObservabilityTests", dependencies: ["Observability", "JSON", "System", "TestSupport"]),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"]),
        .testTarget(name: "CryptographyTests", dependencies: ["Cryptography"]),
        .testTarget(name: "KafkaTests", dependencies: ["Kafka", "TestSupport", "System"]),
        .testTarget(
            name: "HTTPClientTests",
            dependencies: ["System", "HTTPClient", "HTTPServer", "HTTPMessages", "TestSupport"],
            exclude: ["Fixtures"]
        ),
        .testTarget(name: "HTTPServerTests", dependencies: ["System", "HTTPServer", "HTTPMessages"]),
        .testTarget(name: "RuleHostTests", dependencies: ["RuleHost", "Confine", "JSON", "TestSupport", "System"]),
        .testTarget(
            name: "RulesTests",
            dependencies: [
                "JSON", "System", "Confine", "RuleHost", "HTTPMessages", "Observability", "Waiting", "Egress", "Rules",
                "TestSupport",
            ]
        ),
        .testTarget(
            name: "EgressTests",
            dependencies: [
                "JSON", "Cryptography", "System", "HTTPMessages", "Observability", "Waiting", "Egress", "TestSupport",
            ]
        ),
        .testTarget(
            name: "DeliveryTests",
            dependencies: [
                "JSON", "System", "Kafka", "HTTPMessages", "Observability", "Waiting", "Egress", "Rules", "Delivery",
                "TestSupport",
            ]
        ),
        .testTarget(name: "AfterloginTestingTests", dependencies: ["Afterlogin", "AfterloginTesting"]),
        .testTarget(
            name: "AfterloginTests",
            dependencies: ["Observability", "Egress", "Rules", "Delivery", "Afterlogin", "TestSupport"]
        ),
        .testTarget(
            name: "AdminTests",
            dependencies: ["HTTPClient", "HTTPServer", "HTTPMessages", "Observability", "Delivery", "Admin"]
        ),
        .testTarget(
            name: "SandboxTests",
            dependencies: [
                "JSON", "Cryptography", "System", "Kafka", "HTTPClient", "HTTPMessages", "Rules", "Delivery", "Sandbox",
            ]
        ),
        .testTarget(
            name: "CommandsTests",
            dependencies: ["JSON", "System", "RuleHost", "Afterlogin", "Commands"]
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["CRDKafka", "JSON", "YAML", "System", "Kafka", "Confine", "Sandbox", "CLI"]
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
