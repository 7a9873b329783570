# The server at the far end is down: what came by radio waits there, in order, and is not sent again.
sites    hq field
weather  calm
seed     38
chat

field  server down 30m
hq     chat ann to bob@field.test "One"
hq     chat ann to bob@field.test "Two"
wait   5m
then   hq shows "taken over by the far gateway"
never  within 20m  field hears "One"
then   within 10m  field hears "Two"
then   field hears "One" before "Two"
then   field hears 2 texts
