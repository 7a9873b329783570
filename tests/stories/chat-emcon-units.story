# The far site keeps silence: chat goes as single units, heard at once and confirmed later.
sites    hq ship
silent   ship
weather  calm
seed     41
chat     emcon=units

ship   emcon on
hq     chat ann to captain@ship.test "Return to port"
then   within 20m  ship hears "Return to port"
ship   emcon off
then   within 20m  hq shows "taken over by the far gateway"
hq     chat ann to captain@ship.test "By the stream again"
then   within 5m   ship hears "By the stream again"
