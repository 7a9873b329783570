# EMCON ordered at the gateway reaches the node below it: it hears, and acknowledges nothing until the silence ends.
sites    hq ship
weather  calm
seed     5
chat
manage-nodes 0

ship   gateway emcon on
wait   5s
hq     chat ann to captain@ship.test "Are you there?"
then   within 5m   ship hears "Are you there?"
never  within 30m  ship is on the air
ship   gateway emcon off
then   within 15m  ship is on the air
then   within 15m  everything is delivered
