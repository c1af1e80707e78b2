// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "afterlogin",
    platforms: [.macOS("26.0")],
    products: [
        .executable(name: "afterlogin", targets: ["AfterloginCLI"]),
        .executable(name: "afterlogin-confine", targets: ["AfterloginConfine"]),
        .library(name: "AfterloginTesting", targets: ["AfterloginTesting"]),
        .library(name: "Afterlogin", targets: ["Afterlogin", "AfterloginCommands"]),
    ],
    targets: [
        // The C libraries, all from Debian.
        .systemLibrary(name: "AfterloginCRDKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "AfterloginCCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "AfterloginCOpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "AfterloginCYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(
            name: "AfterloginCMicroHTTPD",
            pkgConfig: "libmicrohttpd",
            providers: [.apt(["libmicrohttpd-dev"])]
        ),
        .systemLibrary(name: "AfterloginCLinux"),

        // What wraps C or the operating system.
        .target(name: "AfterloginJSON"),
        .target(name: "AfterloginYAML", dependencies: ["AfterloginCYAML"]),
        .target(name: "AfterloginCryptography", dependencies: ["AfterloginCOpenSSL"]),
        .target(name: "AfterloginSystem", dependencies: ["AfterloginCLinux"]),
        .target(name: "AfterloginKafka", dependencies: ["AfterloginCRDKafka", "AfterloginSystem"]),
        .target(
            name: "AfterloginHTTPClient",
            dependencies: ["AfterloginCCurl", "AfterloginHTTPMessages", "AfterloginSystem"]
        ),
        .target(
            name: "AfterloginHTTPServer",
            dependencies: ["AfterloginCMicroHTTPD", "AfterloginHTTPMessages", "AfterloginSystem"]
        ),
        .executableTarget(name: "AfterloginConfine", linkerSettings: [.linkedLibrary("seccomp")]),
        .target(
            name: "AfterloginRuleHost",
            dependencies: ["AfterloginCLinux", "AfterloginJSON", "AfterloginSystem"],
            resources: [.copy("JavaScript")]
        ),

        // Requests and responses, whoever sends them.
        .target(name: "AfterloginHTTPMessages"),

        // What is said to operators, without secrets.
        .target(name: "AfterloginObservability", dependencies: ["AfterloginJSON", "AfterloginSystem"]),

        // What decides about logins that wait; pure.
        .target(name: "AfterloginWaiting"),

        // The way out for rules: what may leave, with which token, and who waits for what is away.
        .target(
            name: "AfterloginEgress",
            dependencies: [
                "AfterloginJSON", "AfterloginCryptography", "AfterloginSystem", "AfterloginHTTPClient",
                "AfterloginHTTPMessages", "AfterloginObservability", "AfterloginWaiting",
            ]
        ),

        // What runs for a login, in order, and the folder that it comes from.
        .target(
            name: "AfterloginRules",
            dependencies: [
                "AfterloginJSON", "AfterloginSystem", "AfterloginRuleHost", "AfterloginHTTPMessages",
                "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress",
            ]
        ),

        // The path of a login: from its record to its result, in the order of its user, and what is committed.
        .target(
            name: "AfterloginDelivery",
            dependencies: [
                "AfterloginJSON", "AfterloginCryptography", "AfterloginSystem", "AfterloginKafka",
                "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress", "AfterloginRules",
            ]
        ),

        // The product.
        .target(
            name: "Afterlogin",
            dependencies: [
                "AfterloginJSON", "AfterloginYAML", "AfterloginSystem", "AfterloginKafka", "AfterloginRuleHost",
                "AfterloginHTTPMessages", "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress",
                "AfterloginRules", "AfterloginDelivery",
            ]
        ),
        .target(
            name: "AfterloginTesting",
            dependencies: [
                "Afterlogin", "AfterloginHTTPMessages", "AfterloginJSON", "AfterloginRules", "AfterloginSystem",
            ]
        ),
        .target(
            name: "AfterloginAdmin",
            dependencies: [
                "AfterloginSystem", "AfterloginHTTPServer", "AfterloginHTTPMessages", "AfterloginObservability",
                "AfterloginDelivery",
            ]
        ),
        .target(
            name: "AfterloginSandbox",
            dependencies: [
                "AfterloginJSON", "AfterloginCryptography", "AfterloginSystem", "AfterloginKafka",
                "AfterloginHTTPServer", "AfterloginHTTPMessages",
            ]
        ),
        .target(
            name: "AfterloginCommands",
            dependencies: [
                "AfterloginCLinux", "AfterloginJSON", "AfterloginSystem", "AfterloginKafka", "AfterloginHTTPClient",
                "AfterloginHTTPServer", "AfterloginRuleHost", "AfterloginHTTPMessages",
                "AfterloginObservability", "AfterloginEgress", "AfterloginRules", "AfterloginDelivery", "Afterlogin",
                "AfterloginAdmin", "AfterloginSandbox",
            ],
            resources: [.copy("Demo/rules")]
        ),
        .executableTarget(name: "AfterloginCLI", dependencies: ["AfterloginCommands"]),

        // The tests.
        .target(
            name: "AfterloginTestSupport",
            dependencies: ["AfterloginSystem", "AfterloginObservability"],
            path: "Tests/TestSupport"
        ),
        .testTarget(name: "HTTPMessagesTests", dependencies: ["AfterloginHTTPMessages"]),
        .testTarget(name: "JSONTests", dependencies: ["AfterloginJSON", "AfterloginTestSupport"]),
        .testTarget(name: "WaitingTests", dependencies: ["AfterloginWaiting", "AfterloginTestSupport"]),
        .testTarget(name: "SystemTests", dependencies: ["AfterloginSystem"]),
        .testTarget(
            name: "ObservabilityTests",
            dependencies: ["AfterloginObservability", "AfterloginJSON", "AfterloginSystem", "AfterloginTestSupport"]
        ),
        .testTarget(name: "YAMLTests", dependencies: ["AfterloginYAML"]),
        .testTarget(name: "CryptographyTests", dependencies: ["AfterloginCryptography"]),
        .testTarget(
            name: "KafkaTests",
            dependencies: ["AfterloginKafka", "AfterloginTestSupport", "AfterloginSystem"]
        ),
        .testTarget(
            name: "HTTPClientTests",
            dependencies: [
                "AfterloginSystem", "AfterloginHTTPClient", "AfterloginHTTPServer", "AfterloginHTTPMessages",
                "AfterloginTestSupport",
            ],
            exclude: ["Fixtures"]
        ),
        .testTarget(
            name: "HTTPServerTests",
            dependencies: ["AfterloginSystem", "AfterloginHTTPServer", "AfterloginHTTPMessages"]
        ),
        .testTarget(
            name: "RuleHostTests",
            dependencies: [
                "AfterloginRuleHost", "AfterloginConfine", "AfterloginJSON", "AfterloginTestSupport",
                "AfterloginSystem",
            ]
        ),
        .testTarget(
            name: "RulesTests",
            dependencies: [
                "AfterloginJSON", "AfterloginSystem", "AfterloginConfine", "AfterloginRuleHost",
                "AfterloginHTTPMessages", "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress",
                "AfterloginRules",
                "AfterloginTestSupport",
            ]
        ),
        .testTarget(
            name: "EgressTests",
            dependencies: [
                "AfterloginJSON", "AfterloginCryptography", "AfterloginSystem", "AfterloginHTTPMessages",
                "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress", "AfterloginTestSupport",
            ]
        ),
        .testTarget(
            name: "DeliveryTests",
            dependencies: [
                "AfterloginJSON", "AfterloginSystem", "AfterloginKafka", "AfterloginHTTPMessages",
                "AfterloginObservability", "AfterloginWaiting", "AfterloginEgress", "AfterloginRules",
                "AfterloginDelivery",
                "AfterloginTestSupport",
            ]
        ),
        .testTarget(name: "AfterloginTestingTests", dependencies: ["Afterlogin", "AfterloginTesting"]),
        .testTarget(
            name: "AfterloginTests",
            dependencies: [
                "AfterloginObservability", "AfterloginEgress", "AfterloginRules", "AfterloginDelivery", "Afterlogin",
                "AfterloginTestSupport",
            ]
        ),
        .testTarget(
            name: "AdminTests",
            dependencies: [
                "AfterloginHTTPClient", "AfterloginHTTPServer", "AfterloginHTTPMessages", "AfterloginObservability",
                "AfterloginDelivery", "AfterloginAdmin",
            ]
        ),
        .testTarget(
            name: "SandboxTests",
            dependencies: [
                "AfterloginJSON", "AfterloginCryptography", "AfterloginSystem", "AfterloginKafka",
                "AfterloginHTTPClient", "AfterloginHTTPMessages", "AfterloginRules", "AfterloginDelivery",
                "AfterloginSandbox",
            ]
        ),
        .testTarget(
            name: "CommandsTests",
            dependencies: [
                "AfterloginJSON", "AfterloginSystem", "AfterloginRuleHost", "Afterlogin", "AfterloginCommands",
            ]
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "AfterloginCRDKafka", "AfterloginJSON", "AfterloginYAML", "AfterloginSystem", "AfterloginKafka",
                "AfterloginConfine", "AfterloginSandbox", "AfterloginCLI",
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

/// The targets that wrap C or the operating system, and so may name unsafe types.
let wrappers: Set = [
    "AfterloginJSON", "AfterloginYAML", "AfterloginCryptography", "AfterloginSystem", "AfterloginKafka",
    "AfterloginHTTPClient", "AfterloginHTTPServer", "AfterloginRuleHost",
]

// A target's name must be the only one in the package graph of whoever depends on this package, so all have its name in front. Folders
// do without.
for target in package.targets where target.type != .test && target.path == nil {
    guard !["Afterlogin", "AfterloginTesting"].contains(target.name) else { continue }
    target.path = "Sources/\(target.name.dropFirst(package.name.count))"
}

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
