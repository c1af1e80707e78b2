import AfterloginJSON
import Testing

@Suite(.timeLimit(.minutes(1)))
struct JSONWriterTests {
    private func text(_ writer: JSONWriter) -> String { String(decoding: writer.bytes, as: UTF8.self) }

    @Test
    func commasStandWhereTheyBelong() throws {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("a", "x")
        writer.name("empty")
        writer.beginObject()
        writer.endObject()
        writer.name("list")
        writer.beginArray()
        writer.append(1)
        writer.append(true)
        writer.appendNull()
        writer.beginArray()
        writer.endArray()
        writer.append(0.5)
        writer.endArray()
        writer.member("tags", ["p", "q"])
        writer.member("none", nil as String?)
        writer.member("raw", try JSONText(validating: Array("{ \"k\": 1e400 }".utf8)))
        writer.endObject()
        writer.endLine()
        writer.append(UInt64.max)
        #expect(
            self.text(writer)
                == #"{"a":"x","empty":{},"list":[1,true,null,[],0.5],"tags":["p","q"],"none":null,"raw":{ "k": 1e400 }}"#
                + "\n18446744073709551615"
        )
    }

    @Test
    func aPrefixIsLeftAlone() {
        var writer = JSONWriter(after: [0, 0x22])
        writer.append("x")
        #expect(writer.bytes == [0, 0x22] + Array("\"x\"".utf8))
    }

    @Test
    func stringsAreEscapedAsJSONStringifyDoes() throws {
        let all = String(String.UnicodeScalarView((0..<0x80).map { Unicode.Scalar(UInt8($0)) })) + "é😀\u{2028}"
        var writer = JSONWriter()
        writer.append(all)
        #expect(
            self.text(writer).hasPrefix(
                #""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010"#
            )
        )
        #expect(try JSONText(validating: writer.bytes).string == all)
    }
}
