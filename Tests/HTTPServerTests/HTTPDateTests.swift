// SPDX-License-Identifier: Apache-2.0

import HTTPServer
import Testing

@Suite struct HTTPDateTests {
    @Test("Date is IMF-fixdate")
    func date() {
        #expect(HTTPDate.text(unixSeconds: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    }
}
