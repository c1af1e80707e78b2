package import AfterloginRuleHost

/// What people are told of a host that the kernel does not keep in.
extension RuleHostStatus {
    /// Whether nothing but the rights of the worker's own user keeps rules from files.
    package var mayReadEveryFile: Bool { self.notEnforced.contains("landlock") }

    package static let whatIsOpen =
        "rules can read every file that this user may read, the configuration and its secrets too"
    package static let whatToDo =
        "use a kernel with Landlock (5.13 or later), and set rules.host.confinement to required, so that nothing runs without"
}
