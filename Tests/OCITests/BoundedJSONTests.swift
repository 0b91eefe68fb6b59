// SPDX-License-Identifier: Apache-2.0

import OCI
import Testing

@Suite("Bounded JSON")
struct BoundedJSONTests {
    private func parse(_ text: String, limits: JSONLimits = JSONLimits(bytesMax: 1 << 24)) throws -> JSONValue {
        try BoundedJSON.parse(Array(text.utf8), limits: limits)
    }

    private func failure(_ bytes: [UInt8], limits: JSONLimits = JSONLimits(bytesMax: 1 << 24)) -> JSONError.Kind? {
        do throws(JSONError) {
            _ = try BoundedJSON.parse(bytes, limits: limits)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test(
        "valid texts come out as they went in",
        arguments: [
            "null", "true", "false", "0", "-0", "1.5", "-1.25e+10", "1E-3", "12345678901234567890", #""""#, #""a""#,
            "[]", "{}", "[[],{},[[]]]", #"{"a":1,"b":[true,null,"x"],"c":{"d":{}}}"#, #""é😀""#, #"{"":1}"#,
        ])
    func roundTrip(text: String) throws {
        #expect(String(decoding: try parse(text).encode(), as: UTF8.self) == text)
    }

    @Test("white space is allowed where the grammar has it")
    func whiteSpace() throws {
        #expect(try parse(" \t\r\n{ \"a\" : [ 1 , 2 ] }\n") == parse(#"{"a":[1,2]}"#))
    }

    @Test("escapes are resolved")
    func escapes() throws {
        #expect(try parse(#""\"\\\/\b\f\n\r\t""#) == .string("\"\\/\u{8}\u{C}\n\r\t"))
        #expect(try parse(#""x\u0041y\u00e9\uD83D\uDE00z""#) == .string("xAyé😀z"))
        #expect(try parse(#""\u001f""#).encode() == Array(#""\u001f""#.utf8))
    }

    @Test(
        "texts outside the grammar",
        arguments: [
            "", " ", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{\"a\"", "{\"a\":", "{\"a\":1",
            "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{1:1}", "{\"a\" 1}", "{,}", "'a'", "\"", "\"a", "\"\\", "\"\\x\"",
            "\"\\u12\"", "\"\\u12G4\"", "\"\\u+123\"", "\"\n\"", "\"\u{1}\"", "tru", "nul", "True", "NaN", "Infinity",
            "-", "+1", ".5", "1.", "1e", "1e+", "0x10", "// c\n1", "[1}", "{\"a\":1]", "\u{A0}1", "-a",
        ])
    func syntax(text: String) {
        let kind = failure(Array(text.utf8))
        #expect(kind == .syntax || kind == .trailingBytes)
    }

    @Test("bytes after the end", arguments: ["{} {}", "nullx", "1 2", "01", "[]\0", "{}}", "\"a\"\"b\""])
    func trailing(text: String) {
        #expect(failure(Array(text.utf8)) == .trailingBytes)
    }

    @Test(
        "bytes that are not UTF-8 without a byte order mark",
        arguments: [
            [0xEF, 0xBB, 0xBF, 0x7B, 0x7D], [0xFF, 0xFE, 0x7B, 0x00, 0x7D, 0x00], [0xFE, 0xFF, 0x00, 0x7B],
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0xAE, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
            [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xC3],
        ] as [[UInt8]])
    func notUTF8(bytes: [UInt8]) {
        #expect(failure(bytes) == .notUTF8)
    }

    @Test(
        "half surrogate pairs",
        arguments: [#""\uD83D""#, #""\uDE00""#, #""\uD83Dx""#, #""\uD83D\n""#, #""\uD83D\u0041""#, #""\uD83D\uD83D""#])
    func surrogates(text: String) {
        #expect(failure(Array(text.utf8)) == .loneSurrogate)
    }

    @Test("U+0000 is refused: no table can hold it")
    func zero() {
        #expect(failure(Array(#"{"a":"x\u0000"}"#.utf8)) == .zeroCharacter)
        #expect(failure(Array("\"\0\"".utf8)) == .syntax)
    }

    @Test("names that occur twice in one object, also when written with escapes")
    func duplicates() throws {
        #expect(failure(Array(#"{"a":1,"b":2,"a":3}"#.utf8)) == .duplicateName)
        #expect(failure(Array(#"{"a":1,"\u0061":2}"#.utf8)) == .duplicateName)
        #expect(failure(Array(#"[{"x":{"a":1,"a":1}}]"#.utf8)) == .duplicateName)
        #expect(try parse(#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#)["a"]?["a"]?.integerValue == 1)
    }

    @Test(
        "names that a reader without regard to case takes for one another",
        arguments: [
            #"{"layers":1,"Layers":2}"#, #"{"MEDIATYPE":1,"mediaType":2}"#, #"{"layers":1,"layerſ":2}"#,
            #"{"k":1,"K":2}"#, #"{"É":1,"é":2}"#,
        ])
    func caseVariants(text: String) {
        #expect(failure(Array(text.utf8)) == .caseVariantName)
    }

    @Test("limits: bytes, depth, values")
    func limits() throws {
        let nested = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(throws: Never.self) { try parse(nested(64)) }
        #expect(failure(Array(nested(65).utf8)) == .tooDeep)
        #expect(failure(Array(nested(100_000).utf8)) == .tooDeep)
        #expect(failure(Array(String(repeating: #"{"a":"#, count: 100_000).utf8)) == .tooDeep)
        #expect(failure(Array("[1,2,3]".utf8), limits: JSONLimits(bytesMax: 6)) == .tooLarge)
        let few = JSONLimits(bytesMax: 100, valueCountMax: 4)
        #expect(failure(Array("[1,2,3]".utf8), limits: few) == nil)
        #expect(failure(Array("[1,2,3,4]".utf8), limits: few) == .tooManyValues)
        #expect(failure(Array("[1,2,[3]]".utf8), limits: few) == .tooManyValues)
    }

    @Test("many members cost no more each than few")
    func wide() throws {
        let text = "{" + (0..<50_000).map { "\"n\($0)\":[\($0)]" }.joined(separator: ",") + "}"
        let root = try parse(text)
        #expect(root.objectValue?.count == 50_000)
        #expect(root.objectValue?.last?.value == .array([.number("49999")]))
    }

    @Test(
        "integers are digits alone",
        arguments: [("12", 12), ("-1", -1), ("9223372036854775807", Int64.max)] as [(String, Int64)])
    func integers(text: String, value: Int64) throws {
        #expect(try parse(text).integerValue == value)
    }

    @Test("other numbers are no integers", arguments: ["1.0", "1e3", "9223372036854775808", "\"12\""])
    func notIntegers(text: String) throws {
        #expect(try parse(text).integerValue == nil)
    }
}
