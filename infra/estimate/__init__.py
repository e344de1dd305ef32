"""What a ceremony will take: time, bytes, memory and disk, before anything is started.

`model` is the prediction, a pure function of the layout, the plan, the measured costs and the
machines; `log` and `traffic` count bytes as the protocol sends them; `kernels` measures what steps
cost here; `progress` turns the same costs into percent and time left; `preflight` compares what is
needed with what is there.
"""
