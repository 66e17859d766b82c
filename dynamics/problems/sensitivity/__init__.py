"""How solutions depend on what they are given: tangents along a flow, times of events, and fits by them."""
