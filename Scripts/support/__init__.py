# SPDX-License-Identifier: Apache-2.0
"""What the scripts share. Python 3.9 standard library only."""
