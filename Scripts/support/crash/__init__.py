# SPDX-License-Identifier: Apache-2.0
"""The crash test: traffic, deaths, and what must be true afterwards."""
