# A FLASH overtakes the remaining PDUs of a long routine message.
sites    hq field
weather  calm
seed     6

hq     mail to=survey@field.test size=40K kind=random "Survey"
wait   60s
hq     mail to=commander@field.test precedence=flash "Evacuate"
then   within 60s  field has "Evacuate"
then   field has "Evacuate" before "Survey"
then   within 20m  field has "Survey"
then   within 5m   everything is delivered
