# What cannot cross in time comes back with an error; a request sooner than a message. What is in a block stays there.
sites    hq field
weather  calm
seed     33
chat     life=10m request-life=2m filter=none

radio  outage 3h
hq     chat ann to bob@field.test "Into the void"
hq     pings dan bob@field.test/desk
then   within 4m   hq gets remote-server-timeout for dan
hq     chat ann to bob@field.test "Too late"
hq     pings eve bob@field.test/desk
then   within 4m   hq gets remote-server-timeout for eve
then   within 15m  hq gets remote-server-timeout for ann
then   within 4h   field hears "Into the void"
never  within 1h   field hears "Too late"
