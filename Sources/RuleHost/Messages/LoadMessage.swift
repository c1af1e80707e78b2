package import AfterloginJSON
import AfterloginSystem

/// What every host is sent first: the rules, and what they may know and take.
///
/// Folders and limits of the host itself come from the pool's configuration.
package struct LoadMessage: Sendable {
    package struct Rule: Sendable {
        package var name: String
        package var file: String
        package var source: String

        package init(name: String, file: String, source: String) {
            self.name = name
            self.file = file
            self.source = source
        }
    }

    package var rules: [Rule] = []
    /// The object `configuration` of rules.
    package var configuration = JSONObject()
    package var tenantDomain = ""
    /// What the rules of one login may print.
    package var maxConsoleBytes = 8_192
    /// Work after the callback that shows no sign of an end is waited for this long.
    package var quiet: Duration = .seconds(5)
    package var maxBodyBytes = 10 << 20
    /// Where requests may go, `host:port` or `*.domain:port`, with port 0 for the defaults; nil: hosts are not told.
    ///
    /// A connection to elsewhere is then refused as it is made. Requests are the worker's to judge all the same.
    package var reach: [String]?

    package init() {}

    /// The payload of the frame.
    func encoded(for host: RuleHostConfiguration) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("directory", host.rulesDirectory)
        writer.member("moduleDirectories", host.moduleDirectories)
        writer.member("configuration", .object(self.configuration))
        writer.name("tenant")
        writer.beginObject()
        writer.member("domain", self.tenantDomain)
        writer.endObject()
        if let reach = self.reach { writer.member("reach", reach) }
        writer.name("limits")
        writer.beginObject()
        writer.member("turn", host.turn.wholeMilliseconds)
        writer.member("memory", host.memoryBytes)
        writer.member("consoleBytes", self.maxConsoleBytes)
        writer.member("quiet", self.quiet.wholeMilliseconds)
        writer.member("maxBodyBytes", self.maxBodyBytes)
        writer.endObject()
        writer.name("rules")
        writer.beginArray()
        for rule in self.rules {
            writer.beginObject()
            writer.member("name", rule.name)
            writer.member("file", rule.file)
            writer.member("source", rule.source)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
