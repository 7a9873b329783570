# Chat over HF as XEP-0365 says, confirmed by the far gateway and not by its node: what comes while that gateway is away is
# given back by the node, and sent again. With delivery=node it would be lost.
sites    hq field
weather  calm
seed     82
chat     profile=standard delivery=client

hq     chat ann to bob@field.test "Before"
then   within 2m  field hears "Before"
field  crash for 5m
wait   10s
hq     chat ann to bob@field.test "Away"
hq     chat ann to bob@field.test "Still away"
never  within 4m   field hears "Away"
then   within 30m  field hears "Still away"
then   field hears "Away" before "Still away"
field  chat bob to ann@hq.test "Here again"
then   within 5m   hq hears "Here again"
then   field hears 3 texts
