extension [RuleHostStatus] {
    /// For how long no host has taken logins, since all load or are frozen; nil while one takes them.
    package var absence: Duration? {
        let hosts = self.filter { !$0.isRetiring }
        guard !hosts.contains(where: { $0.isLoaded && $0.silent == .zero }) else { return nil }
        // Of those that had the rules: a fresh one beside them does not make it shorter.
        return hosts.filter(\.isLoaded).map(\.silent).min() ?? hosts.map(\.age).min()
    }
}
