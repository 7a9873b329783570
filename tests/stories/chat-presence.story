# Presence crosses folded, once for each change; probes are answered from the cache.
sites    hq field
weather  calm
seed     34
chat

field  online bob
hq     online ann
hq     subscribes ann to bob@field.test
then   within 5m   hq sees bob@field.test online
field  online bob away
then   within 5m   hq sees bob@field.test away
hq     offline ann
hq     online ann
then   within 10s  hq sees bob@field.test away
field  offline bob
then   within 5m   hq sees bob@field.test offline
