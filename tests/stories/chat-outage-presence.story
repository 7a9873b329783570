# The radio is out while the node works: who waits to be heard by the far site for long sees its people as offline, and
# online again when something gets through.
sites    hq field
weather  calm
seed     35
chat

field  online bob
hq     online ann
hq     subscribes ann to bob@field.test
then   within 5m   hq sees bob@field.test online
radio  outage 3h
hq     chat ann to bob@field.test "Anybody there?"
never  within 20m  hq sees bob@field.test offline
then   within 30m  hq sees bob@field.test offline
then   within 4h   field hears "Anybody there?"
then   within 5m   hq sees bob@field.test online
