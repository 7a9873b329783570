# One transmission reaches two sites.
sites    hq field ship
weather  calm
seed     14

hq     mail to=watch@field.test,captain@ship.test precedence=immediate "Gale warning"
then   within 10m  field has "Gale warning"
then   within 10m  ship has "Gale warning"
then   hq sent 1 unit
then   within 30m  everything is delivered
