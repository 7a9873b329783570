# Single units outlive a crash of the gateway that sent them: the carrier has them still, and the ship hears each once.
sites    hq ship
silent   ship
weather  calm
seed     84
chat     emcon=units

ship   emcon on
hq     chat ann to captain@ship.test "Return to port"
then   within 20m  ship hears "Return to port"
hq     crash for 1m
wait   30m
ship   emcon off
then   within 30m  hq shows "taken over by the far gateway"
then   ship hears 1 texts
