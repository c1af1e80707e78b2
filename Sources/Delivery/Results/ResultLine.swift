import AfterloginJSON
import AfterloginKafka
import FoundationEssentials

/// A result as one line of NDJSON: updates, denials and changes as they are, a failure as an object around the original.
package enum ResultLine {
    /// Without the line feed at its end.
    package static func bytes(_ result: ResultRecord) -> [UInt8] {
        switch result.kind {
        case .update, .denial, .changes: result.value ?? []
        case .failure: self.failure(result)
        }
    }

    private static func failure(_ result: ResultRecord) -> [UInt8] {
        func header(_ name: String) -> String? {
            result.headers.last { $0.name == "afterlogin-\(name)" }?.value.map { String(decoding: $0, as: UTF8.self) }
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("failure")
        writer.beginObject()
        writer.member("reason", result.reason ?? header("reason") ?? "")
        writer.member("message", header("message") ?? "")
        if let rule = header("rule") {
            writer.member("rule", rule)
        }
        if let place = header("place") {
            writer.member("place", place)
        }
        writer.member("attempts", header("attempts").flatMap { Int($0) } ?? 0)
        // The source counts lines from 0, and people from 1.
        if let offset = header("offset").flatMap({ Int($0) }) {
            writer.member("line", offset + 1)
        }
        writer.endObject()
        self.write("key", result.key, &writer)
        self.write("value", result.value, &writer)
        writer.name("headers")
        writer.beginObject()
        for header in result.headers where !header.name.hasPrefix("afterlogin-") {
            writer.name(header.name)
            writer.append(String(decoding: header.value ?? [], as: UTF8.self))
        }
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    /// Text as it is; bytes that are not UTF-8 as `NAME_base64`.
    private static func write(_ name: String, _ bytes: [UInt8]?, _ writer: inout JSONWriter) {
        guard let bytes else {
            writer.name(name)
            return writer.append(JSONText.null)
        }
        if let text = String(validating: bytes, as: UTF8.self) {
            writer.member(name, text)
        } else {
            writer.member("\(name)_base64", Data(bytes).base64EncodedString())
        }
    }
}
